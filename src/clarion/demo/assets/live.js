/** Follows one person's story by server-sent events and draws it: the way on top, a timeline for each notification. */
import { made } from "./base.js";

const page = document.getElementById("live");
const part = (id) => document.getElementById(id);
const journeys = part("journeys");
const clock = new Intl.DateTimeFormat([], { hour: "2-digit", minute: "2-digit", second: "2-digit", fractionalSecondDigits: 3, hourCycle: "h23" });
const day = new Intl.DateTimeFormat([], { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit", hourCycle: "h23" });

const seconds = new Intl.DateTimeFormat([], { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });

let view = { person: [], journeys: [] };
let chosen = null; // the key of a journey that was picked; null follows the newest
let drawn = new Map(); // key → {card, told}
let source = null;

/** @param {number} ms */
function duration(ms) {
  if (ms < 1) return "< 1 ms";
  if (ms < 1000) return `${ms} ms`;
  if (ms < 60_000) return `${(ms / 1000).toFixed(ms < 10_000 ? 2 : 1)} s`;
  if (ms < 3_600_000) return `${Math.round(ms / 60_000)} min`;
  return `${Math.round(ms / 3_600_000)} h`;
}

const plus = (ms) => (ms < 1 ? duration(ms) : `+ ${duration(ms)}`);

function outcome(way) {
  const state = Object.fromEntries(way.map((step) => [step.stage, step.state]));
  if (state.learn === "done") return ["Answered", "good"];
  if (state.display === "done") return ["Shown", "good"];
  if (state.deliver === "stop") return ["Failed", "bad"];
  if (state.deliver === "done") return ["Sent", ""];
  if (state.decide === "stop") return ["Dropped", "bad"];
  if (state.decide === "wait") return ["Held", "wait"];
  return ["Under way", ""];
}

function drawWay(journey) {
  const way = journey?.way ?? [];
  for (const node of part("way").children) {
    const step = way.find(({ stage }) => stage === node.dataset.stage) ?? { state: "open" };
    const lit = step.state === "done" && !node.classList.contains("done");
    node.className = `node ${step.state}${lit ? " fresh" : ""}`;
    node.querySelector(".took").textContent = tookWords(step);
  }
  const pill = part("way-outcome");
  pill.hidden = !journey;
  part("way-name").textContent = journey?.title ?? "";
  if (!journey) return;
  const [words, tone] = outcome(way);
  pill.textContent = words;
  pill.className = `outcome ${tone}`;
  drawTotal(way);
}

function tookWords({ stage, state, at, took }) {
  if (state === "wait") return stage === "learn" ? "your turn" : "waits";
  if (state === "stop") return "stops here";
  if (state === "open" || at === null) return "";
  if (took !== null) return plus(took);
  return stage === "trigger" ? seconds.format(at) : "earlier";
}

function drawTotal(way) {
  const at = Object.fromEntries(way.map((step) => [step.stage, step.at]));
  const total = part("way-total");
  total.replaceChildren();
  if (at.display === null || at.display < at.trigger) return;
  total.append("From the event to the screen in ", made("b", { textContent: duration(at.display - at.trigger) }));
}

function drawEntry(entry, start) {
  const gates = entry.gates.map(([name, verdict, because]) =>
    made("span", { className: `gate ${verdict}`, title: verdict }, name, made("span", { textContent: because })));
  const passed = start === null ? day.format(entry.at) : entry.at === start ? clock.format(entry.at) : plus(Math.max(0, entry.at - start));
  const time = made("time", { textContent: passed, dateTime: new Date(entry.at).toISOString(), title: clock.format(entry.at) });
  const title = made("div", {}, made("span", { className: "stage", textContent: entry.stage }), made("b", { textContent: entry.title }));
  const item = made("li", { className: entry.tone }, made("span", { className: "bead" }), title, time);
  if (entry.text) item.append(made("p", { textContent: entry.text }));
  if (gates.length) item.append(made("div", { className: "gates" }, ...gates));
  return item;
}

function drawJourney(journey) {
  const [words, tone] = outcome(journey.way);
  const head = made("button", { type: "button" }, made("code", { textContent: journey.title }));
  if (journey.category) head.append(made("span", { className: "tag", textContent: journey.category }));
  head.append(made("span", { className: `outcome ${tone}`, textContent: words }), made("span", { className: "when", textContent: clock.format(journey.at) }));
  head.addEventListener("click", () => {
    chosen = journey.key;
    draw();
    part("way").scrollIntoView({ block: "nearest" });
  });
  return [head, made("ol", { className: "line" }, ...journey.entries.map((entry) => drawEntry(entry, journey.at)))];
}

/** Keeps the cards that are there, so that only what is new moves. */
function drawJourneys(current) {
  const kept = new Map();
  for (const journey of view.journeys) {
    const told = JSON.stringify(journey);
    const known = drawn.get(journey.key) ?? { card: made("article", { className: "card journey" }), told: "" };
    if (known.told !== told) {
      const before = known.card.querySelectorAll("li").length;
      known.card.replaceChildren(...drawJourney(journey));
      if (before) for (const item of [...known.card.querySelectorAll("li")].slice(before)) item.classList.add("fresh");
    }
    known.card.classList.toggle("chosen", journey === current);
    kept.set(journey.key, { card: known.card, told });
  }
  for (const [key, { card }] of drawn) if (!kept.has(key)) card.remove();
  let place = journeys.firstChild;
  for (const { card } of kept.values()) {
    if (card === place) place = place.nextSibling;
    else journeys.insertBefore(card, place);
  }
  drawn = kept;
}

function draw() {
  const current = view.journeys.find(({ key }) => key === chosen) ?? view.journeys[0];
  drawWay(current);
  drawJourneys(current);
  part("nothing").hidden = view.journeys.length > 0;
  part("person").replaceChildren(...view.person.map((entry) => drawEntry(entry, null)));
  part("person-none").hidden = view.person.length > 0;
}

function tellStatus(words, on) {
  part("status-words").textContent = words;
  part("status").classList.toggle("off", !on);
}

/** A hidden tab lets go of its connection: browsers allow only six of them to one server. */
function follow() {
  source?.close();
  source = null;
  if (document.hidden) return tellStatus("Paused", false);
  source = new EventSource(`/live/events?user=${encodeURIComponent(page.dataset.user)}`);
  source.addEventListener("open", () => tellStatus("Live", true));
  source.addEventListener("error", () => tellStatus("Reconnecting", false));
  source.addEventListener("story", ({ data }) => {
    const latest = view.journeys[0]?.key;
    view = JSON.parse(data);
    if (view.journeys[0]?.key !== latest) chosen = null;
    draw();
  });
}

document.addEventListener("visibilitychange", follow);
follow();
