/** Shows the message as it is typed, and asks what the rules of title honesty say of it. The form works without. */
const form = document.getElementById("compose");
const findings = document.getElementById("findings");
const hint = document.getElementById("hint");
const trial = document.getElementById("trial");
const PAUSE_MS = 350;
const LIMITS = { title: 65, body: 180 };

let timer = 0;
let asked = 0;

function show() {
  for (const [name, limit] of Object.entries(LIMITS)) {
    const text = form.elements[name].value;
    document.getElementById(`preview-${name}`).textContent = text || (name === "title" ? "Title" : "");
    const count = document.getElementById(`${name}-count`);
    count.hidden = false;
    count.textContent = `${[...text].length} / ${limit}`;
    count.classList.toggle("over", [...text].length > limit);
  }
}

async function look() {
  const mine = ++asked;
  const answer = await fetch(form.dataset.look, { method: "POST", body: new URLSearchParams(new FormData(form)), redirect: "error" });
  if (!answer.ok || mine !== asked) return; // somebody typed on meanwhile
  findings.innerHTML = await answer.text();
}

form.addEventListener("input", () => {
  show();
  trial?.classList.add("stale");
  clearTimeout(timer);
  timer = setTimeout(() => look().catch(() => {}), PAUSE_MS);
});

form.addEventListener("submit", () => {
  hint.textContent = "Working…";
  form.setAttribute("aria-busy", "true");
});

show();
trial?.scrollIntoView({ block: "nearest" });
