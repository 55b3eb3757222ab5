/** The bell: asks for permission, and says in words what stands in the way. */
import { clarion, toast } from "./base.js";

const part = (id) => document.getElementById(id);
const bell = part("bell");

/** What to say in each situation: label of the button, whether it can be pressed, and a hint with its tone. */
const SITUATIONS = {
  ask: { label: "Tell me when my order ships", can: true },
  on: { label: "We will tell you", can: false, off: true },
  declined: {
    label: "Tell me when my order ships", can: true, tone: "wait",
    hint: ["No it is, then.", "You can change your mind here at any time. Orders still work; the decision will say why nothing was sent."],
  },
  denied: {
    label: "Notifications are blocked", can: false, tone: "bad",
    hint: ["Your browser says no for this page.", "If you did not: private windows always say no. Otherwise open the site's settings from the address bar (the icon left of the address), allow notifications and load the page again. Orders still work; the decision will say no_permission."],
  },
  add_to_home_screen: {
    label: "One step first", can: false, tone: "wait",
    hint: ["On iPhone and iPad, add the shop to the Home Screen.", "Tap Share, then Add to Home Screen, then open Fjord & Fern from there and press the bell. This needs iOS 16.4 or later and an https address."],
  },
  needs_https: {
    label: "Needs https", can: false, tone: "bad",
    hint: ["Browsers notify for secure pages only.", "Open the shop under localhost or 127.0.0.1 on the machine it runs on, or set CLARION_PUBLIC_URL to an https address."],
  },
  not_available: {
    label: "Not in this browser", can: false, tone: "bad",
    hint: ["This browser or window offers no push notifications.", "Private windows often do not. Try an ordinary window of Chrome, Edge, Firefox or Safari."],
  },
  push_unavailable: {
    label: "Try again", can: true, tone: "bad",
    hint: ["Your browser could not reach its push service.", "Without internet that is expected: point a Firefox at ours, see below. In Brave, switch on “Use Google services for push messaging”. Private windows cannot subscribe."],
    open: "offline",
  },
};

function show(name) {
  const { label, can, tone = "", hint, off = false, open } = SITUATIONS[name];
  part("bell-label").textContent = label;
  bell.disabled = !can;
  bell.classList.toggle("on", off);
  part("bell-off").hidden = !off;
  part("step-bell").classList.toggle("done", off);
  const state = part("state");
  state.hidden = !hint;
  state.className = `state ${tone}`;
  if (hint) state.replaceChildren(Object.assign(document.createElement("b"), { textContent: hint[0] }), hint[1]);
  if (open) part(open).open = true;
}

const refused = () => (clarion.permission === "denied" ? "denied" : "declined");

async function ring() {
  bell.disabled = true;
  try {
    const device = await clarion.enable({ prompt: true });
    show(device ? "on" : refused());
    if (device) toast("The bell is set", "Now place an order, then close the page if you like.");
  } catch (error) {
    show(error.code in SITUATIONS ? error.code : "ask");
    if (!(error.code in SITUATIONS)) toast("That did not work", error.message, "bad");
  }
}

async function silence() {
  await clarion.disable();
  show("ask");
  toast("The bell is off", "This browser has no address here any more.");
}

/** The person may take the permission back in the browser's settings while this page is open. */
async function followPermission() {
  const status = await navigator.permissions?.query({ name: "notifications" });
  status?.addEventListener("change", () => {
    if (clarion.permission !== "granted") show(clarion.permission === "denied" ? "denied" : "ask");
  });
}

/** Sets the bell to what this browser already is. */
export async function ready() {
  bell.addEventListener("click", ring);
  part("bell-off").addEventListener("click", silence);
  followPermission().catch(() => {}); // browsers that cannot tell say so by failing
  if (clarion.hint) return show(clarion.hint);
  if (clarion.permission === "denied") return show("denied");
  show("ask");
  const device = await clarion.ready;
  if (!bell.disabled) show(device && clarion.permission === "granted" ? "on" : "ask");
}
