/**
 * The soft prompt: asks in the site's own words before the browser asks in its own. The browser asks only once, so a "no"
 * belongs here, where it costs nothing.
 */
/** @import {Category, Texts} from "./types.js" */

const STYLE = `
  :host { all: initial; }
  dialog {
    --surface: #fff; --text: #12141c; --quiet: #5d6377; --line: #e3e5ee; --field: #f6f7fb; --veil: rgb(18 20 28 / .45);
    --accent: var(--clarion-accent, #5b54d6); --on-accent: var(--clarion-on-accent, #fff);
    --space: 1.5rem; box-sizing: border-box; width: min(27rem, calc(100vw - 2rem)); max-height: calc(100dvh - 2rem);
    padding: var(--space) var(--space) 0; overflow: auto; scrollbar-width: thin; scrollbar-color: var(--quiet) transparent;
    border: 1px solid var(--line); border-radius: 1.125rem; background: var(--surface); color: var(--text);
    box-shadow: 0 1.5rem 4rem rgb(0 0 0 / .28); font: 1rem/1.5 var(--clarion-font, system-ui, sans-serif); color-scheme: light;
  }
  dialog.dark {
    --surface: #15171f; --text: #eff1f7; --quiet: #9da4b8; --line: #2a2e3b; --field: #1c1f2a; --veil: rgb(0 0 0 / .6);
    --accent: var(--clarion-accent, #8b85ff); --on-accent: var(--clarion-on-accent, #12141c); color-scheme: dark;
  }
  dialog::backdrop { background: var(--veil); }
  svg { display: block; width: 2.75rem; height: 2.75rem; padding: .6rem; box-sizing: border-box; border-radius: .8rem;
    background: var(--accent); color: var(--on-accent); fill: none; stroke: currentColor; stroke-width: 2;
    stroke-linecap: round; stroke-linejoin: round; }
  h2 { margin: 1rem 0 .375rem; font-size: 1.25rem; line-height: 1.3; letter-spacing: -.01em; outline: none; }
  p { margin: 0; color: var(--quiet); font-size: .9375rem; }
  fieldset { margin: 1.25rem 0 0; padding: 0; border: 0; min-width: 0; }
  legend { padding: 0; margin-bottom: .5rem; font-size: .8125rem; font-weight: 600; }
  label { display: grid; grid-template-columns: auto 1fr; column-gap: .75rem; padding: .75rem .875rem; border: 1px solid var(--line);
    border-radius: .75rem; background: var(--field); cursor: pointer; overflow-wrap: anywhere; }
  label + label { margin-top: .5rem; }
  label:has(:checked:enabled) { border-color: var(--accent); }
  label:has(:disabled) { cursor: default; }
  input { margin: .2rem 0 0; width: 1.125rem; height: 1.125rem; accent-color: var(--accent); cursor: inherit; }
  .name { display: flex; flex-wrap: wrap; gap: 0 .75rem; justify-content: space-between; font-size: .9375rem; font-weight: 600; }
  .name small { color: var(--quiet); font-size: .8125rem; font-weight: 400; }
  .about { grid-column: 2; color: var(--quiet); font-size: .8125rem; }
  .buttons { position: sticky; bottom: 0; display: flex; flex-wrap: wrap-reverse; gap: .625rem; margin-top: .5rem;
    padding: 1rem 0 max(var(--space), env(safe-area-inset-bottom)); background: var(--surface); }
  button { flex: 1 1 auto; min-height: 2.875rem; padding: .5rem 1.125rem; border: 1px solid var(--line); border-radius: .75rem;
    background: transparent; color: inherit; font: inherit; font-size: .9375rem; font-weight: 600; cursor: pointer; }
  button[type=submit] { border-color: transparent; background: var(--accent); color: var(--on-accent); }
  button:hover { filter: brightness(1.08); }
  button:disabled { opacity: .5; cursor: default; filter: none; }
  button:focus-visible, input:focus-visible { outline: 3px solid var(--accent); outline-offset: 2px; }
  @media (max-width: 30rem) {
    dialog { --space: 1.25rem; width: 100%; max-width: 100%; margin: auto 0 0;
      border-width: 1px 0 0; border-radius: 1.125rem 1.125rem 0 0; }
  }
  @media (prefers-reduced-motion: no-preference) {
    dialog { animation: rise .22s cubic-bezier(.2, .8, .3, 1); }
    @keyframes rise { from { opacity: 0; transform: translateY(.75rem); } }
  }
`;

const SVG = "http://www.w3.org/2000/svg";
const BELL = ["M5 17h14l-1.6-2.4V10a5.4 5.4 0 0 0-10.8 0v4.6Z", "M10 20.5a2.2 2.2 0 0 0 4 0"];

/**
 * @typedef {object} Question
 * @property {string} site the project's name, for `{site}` in the texts
 * @property {Category[]} categories
 * @property {Texts & {lang: string}} texts
 * @property {() => Promise<NotificationPermission>} confirm asks the browser; called inside the click, as browsers demand
 */

/**
 * @typedef {object} Answer
 * @property {NotificationPermission} permission what the browser then answered
 * @property {{category: string, granted: boolean}[]} choices for every category that is not locked
 * @property {string} wording all that the person read when saying yes
 */

/**
 * Shows the prompt as a modal dialog: the rest of the page is inert, Escape declines, focus returns where it was.
 *
 * @param {Question} question
 * @returns {Promise<Answer | null>} null when the person said no
 */
export async function softPrompt({ site, categories, texts, confirm }) {
  const body = texts.body.replaceAll("{site}", site);
  const title = texts.title.replaceAll("{site}", site);
  const rows = categories.map((category) => categoryRow(category, texts));
  const { host, dialog, form, decline } = build({ title, body, texts, rows: rows.map(({ label }) => label) });
  document.body.append(host);
  dialog.showModal();
  try {
    const permission = await new Promise((resolve) => {
      decline.addEventListener("click", () => resolve(null));
      dialog.addEventListener("close", () => resolve(null));
      form.addEventListener("submit", (event) => {
        event.preventDefault();
        resolve(confirm());
        dialog.close();
      });
    });
    if (!permission) return null;
    const choices = rows
      .filter(({ category }) => !category.locked)
      .map(({ category, input }) => ({ category: category.name, granted: input.checked }));
    return { permission, choices, wording: wording({ title, body, categories, texts }) };
  } finally {
    dialog.close();
    host.remove();
  }
}

/** @param {{title: string, body: string, texts: Texts & {lang: string}, rows: HTMLElement[]}} parts */
function build({ title, body, texts, rows }) {
  const host = document.createElement("clarion-prompt");
  const root = host.attachShadow({ mode: "open" });
  const sheet = new CSSStyleSheet(); // a <style> element would need the site's Content-Security-Policy to allow it
  sheet.replaceSync(STYLE);
  root.adoptedStyleSheets = [sheet];
  const heading = element("h2", { id: "title", textContent: title, tabIndex: -1, autofocus: true });
  const about = element("p", { id: "body", textContent: body });
  const accept = element("button", { type: "submit", textContent: texts.yes });
  const decline = element("button", { type: "button", textContent: texts.no });
  const fieldset = element("fieldset", {}, element("legend", { textContent: texts.legend }), ...rows);
  const buttons = element("div", { className: "buttons" }, decline, accept);
  const form = element("form", {}, bell(), heading, about, ...(rows.length ? [fieldset] : []), buttons);
  form.addEventListener("change", () => (accept.disabled = rows.length > 0 && !form.querySelector(":checked")));
  form.dispatchEvent(new Event("change"));
  const dialog = element("dialog", { lang: texts.lang, className: dark() ? "dark" : "" }, form);
  dialog.setAttribute("aria-labelledby", "title");
  dialog.setAttribute("aria-describedby", "body");
  root.append(dialog);
  return { host, dialog, form, decline };
}

function bell() {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("aria-hidden", "true");
  for (const line of BELL) {
    const path = document.createElementNS(SVG, "path");
    path.setAttribute("d", line);
    svg.append(path);
  }
  return svg;
}

/** @param {Category} category @param {Texts} texts */
function categoryRow(category, texts) {
  const { locked } = category;
  const checked = locked || category.default;
  const input = element("input", { type: "checkbox", name: category.name, checked, disabled: locked });
  const name = element("span", { className: "name" }, element("span", { textContent: category.title }));
  if (locked) name.append(element("small", { textContent: texts.always }));
  const label = element("label", {}, input, name);
  if (category.description) label.append(element("span", { className: "about", textContent: category.description }));
  return { category, input, label };
}

/** A consent is worth what the person read. @param {{title: string, body: string, categories: Category[], texts: Texts}} shown */
function wording({ title, body, categories, texts }) {
  const rows = categories.map((category) => [category.title, category.description].filter(Boolean).join(": "));
  return [title, body, ...rows, `[${texts.yes}]`].join("\n");
}

/** A page that declares one colour scheme is that; any other goes with the system. */
function dark() {
  const declared = getComputedStyle(document.documentElement).colorScheme;
  const [light, dark] = [declared.includes("light"), declared.includes("dark")];
  return light === dark ? matchMedia("(prefers-color-scheme: dark)").matches : dark;
}

/**
 * @template {keyof HTMLElementTagNameMap} T
 * @param {T} tag
 * @param {Partial<HTMLElementTagNameMap[T]>} properties
 * @param {Node[]} children
 * @returns {HTMLElementTagNameMap[T]}
 */
function element(tag, properties, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}
