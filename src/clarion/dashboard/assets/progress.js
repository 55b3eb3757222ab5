/** Asks for the part of the page that moves, as long as something of the notification is to come and somebody looks. */
const part = document.getElementById("progress");
const QUICK_MS = 1000;
const SLOW_MS = 10_000;
let wait = QUICK_MS;

const isOpen = () => part.firstElementChild?.dataset.open === "yes";

async function renew() {
  const answer = await fetch(part.dataset.from, { redirect: "error" });
  if (!answer.ok) throw new Error(`${answer.status}`);
  const text = await answer.text();
  const before = part.innerHTML;
  part.innerHTML = text;
  // What stands still is asked for less and less often: a schedule may be days away.
  wait = part.innerHTML === before ? Math.min(wait * 1.5, SLOW_MS) : QUICK_MS;
}

async function follow() {
  if (!document.hidden) {
    try {
      await renew();
    } catch {
      wait = SLOW_MS; // the server restarts, or the session is over: the page stays as it is
    }
  }
  if (isOpen()) setTimeout(follow, wait);
}

if (isOpen()) setTimeout(follow, wait);
