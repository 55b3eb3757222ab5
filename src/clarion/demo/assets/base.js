/** What all pages do: switch the theme, copy texts, show toasts, hear what arrives while they are open. */
import { Clarion } from "/sdk/clarion.js";

export const { visitor, key } = document.body.dataset;

/** The SDK, as any site would set it up. Pages and the system both show what arrives, so that a demo shows both. */
export const clarion = new Clarion({
  server: location.origin,
  key,
  serviceWorker: "/clarion-sw.js",
  foreground: "both",
  askAgainAfterDays: 0, // pressing the bell is a wish of its own
});

/** @param {string} title @param {string} [text] @param {"good" | "bad"} [tone] @param {{href: string, words: string}} [link] */
export function toast(title, text = "", tone = "good", link = undefined) {
  const box = made("div", { className: `toast ${tone}` });
  const close = made("button", { type: "button", textContent: "×", ariaLabel: "Close" });
  const words = made("div", {}, made("b", { textContent: title }), made("p", { textContent: text }));
  if (link) words.append(made("a", { href: link.href, textContent: link.words }));
  close.addEventListener("click", () => box.remove());
  box.append(made("span", { className: "dot" }), words, close);
  document.getElementById("toasts").append(box);
  setTimeout(() => box.remove(), 9000);
}

/** @template {keyof HTMLElementTagNameMap} T @param {T} tag @returns {HTMLElementTagNameMap[T]} */
export function made(tag, properties = {}, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}

clarion.on("received", ({ title, body }) => toast(`Arrived: ${title}`, body ?? ""));
clarion.on("clicked", ({ title, action }) => toast(action ? `You pressed “${action}”` : "You tapped it", title));

document.getElementById("theme").addEventListener("click", () => {
  const next = document.documentElement.dataset.theme === "dark" ? "light" : "dark";
  document.documentElement.dataset.theme = next;
  localStorage.setItem("theme", next);
});

for (const button of document.querySelectorAll("[data-copy]")) {
  button.addEventListener("click", async () => {
    const words = button.textContent;
    await navigator.clipboard.writeText(document.getElementById(button.dataset.copy).textContent);
    button.textContent = "Copied";
    setTimeout(() => (button.textContent = words), 1500);
  });
}
