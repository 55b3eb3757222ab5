/** The service worker: what arrives is shown once, a click opens the right page, and receipts get through. */
import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";
import {
  FIREFOX,
  FakeSubscription,
  FakeWindow,
  FakeWorker,
  ORIGIN,
  SAFARI,
  SERVER,
  VAPID_KEY,
  settle,
} from "./fakes.js";

const RECEIPTS = `${SERVER}/v1/receipts`;
const MESSAGE = {
  ...{
    v: 1,
    id: "d1",
    receipt: "signed-1",
    receipts_url: RECEIPTS,
    tag: "d1",
    category: "orders",
    class: "informational",
  },
  ...{ title: "Your order is on its way", body: "A-17 leaves today.", url: "/orders/A-17", data: { order_id: "A-17" } },
  actions: [
    { id: "track", title: "Track", url: "https://carrier.example/A-17" },
    { id: "thanks", title: "Thanks" },
  ],
};
const STATE = {
  ...{
    server: SERVER,
    key: "pk_test",
    foreground: "show",
    generic: "Es gibt etwas Neues.",
    wanted: true,
    installation: "i1",
  },
  person: { id: "u1", token: "signed.user.token", anonymous: null },
  registered: {
    device: { id: "dev1" },
    body: { kind: "webpush", address: "https://push.service/old", installation: "i1" },
    at: 0,
    print: "p",
  },
  config: { at: 0, value: { project: "Corner Shop", vapid_public_key: VAPID_KEY } },
};

/** @type {FakeWorker} */
let worker;

function start(options) {
  worker = new FakeWorker({ state: STATE, ...options });
  worker.server.routes["POST /v1/receipts"] = ({ body }) => [
    202,
    { accepted: body.receipts.length, duplicates: 0, errors: [] },
  ];
  return worker;
}

const sent = () =>
  worker.server
    .to("/v1/receipts")
    .flatMap(({ body }) => body.receipts.map(({ receipt, kind }) => `${receipt} ${kind}`));

beforeEach(() => void start());

test("a message is shown with everything it brings", async () => {
  await worker.push({
    ...MESSAGE,
    icon: "/i.png",
    image: "/big.png",
    badge: "/b.png",
    vibrate: [100, 50],
    require_interaction: true,
  });
  const [{ data, ...shown }] = worker.shown;
  assert.deepEqual(shown, {
    ...{
      title: "Your order is on its way",
      body: "A-17 leaves today.",
      icon: "/i.png",
      image: "/big.png",
      badge: "/b.png",
    },
    ...{ tag: "d1", silent: false, renotify: false, vibrate: [100, 50], requireInteraction: true },
    actions: [
      { action: "track", title: "Track" },
      { action: "thanks", title: "Thanks" },
    ],
  });
  assert.deepEqual(data.clarion.data, { order_id: "A-17" });
});

test("delivered and displayed go out in one request, without the project's key", async () => {
  await worker.push(MESSAGE);
  const [call, ...more] = worker.server.to("/v1/receipts");
  assert.deepEqual(more, []);
  assert.deepEqual(
    call.body.receipts.map(({ kind }) => kind),
    ["delivered", "displayed"],
  );
  assert.ok(call.body.receipts.every(({ at, receipt }) => receipt === "signed-1" && !Number.isNaN(Date.parse(at))));
  assert.equal(call.headers.Authorization, undefined);
  assert.deepEqual(worker.kept("receipts"), []);
});

for (const [name, payload] of [
  ["no body", null],
  ["text that is no JSON", "hello"],
  ["JSON that is no message", "17"],
  ["an empty message", {}],
]) {
  test(`a push with ${name} still shows something, with the site's name`, async () => {
    await worker.push(payload);
    assert.equal(worker.shown[0].title, "Corner Shop");
    assert.equal(worker.shown[0].body, "Es gibt etwas Neues.");
    await worker.click("clarion");
    assert.deepEqual(worker.opened, [`${ORIGIN}/`]);
  });
}

test("without anything remembered the host stands for the site's name", async () => {
  start({ state: undefined });
  await worker.push(null);
  assert.equal(worker.shown[0].title, "shop.example");
});

test("without storage a message is shown and reported all the same", async () => {
  worker.indexedDB.broken = true;
  await worker.push(MESSAGE);
  assert.equal(worker.shown.length, 1);
  assert.deepEqual(sent(), ["signed-1 delivered", "signed-1 displayed"]);
});

test("a browser that refuses an option shows the words", async () => {
  worker.refuseShow = ({ actions }) => (actions ? new TypeError("actions are not supported") : null);
  await worker.push(MESSAGE);
  assert.equal(worker.shown[0].title, MESSAGE.title);
  assert.equal(worker.shown[0].body, MESSAGE.body);
});

test("a malformed option does not cost the message", async () => {
  await worker.push({ ...MESSAGE, actions: "track", vibrate: 5 });
  assert.equal(worker.shown[0].title, MESSAGE.title);
});

test("what cannot be shown is delivered, not displayed", async () => {
  worker.refuseShow = () => new TypeError("permission was revoked");
  await assert.rejects(worker.push(MESSAGE));
  assert.deepEqual(sent(), ["signed-1 delivered"]);
});

test("a silent message has no pattern and no second sound", async () => {
  await worker.push({ ...MESSAGE, tag: "order-A-17", silent: true, vibrate: [100] });
  const { silent, vibrate, renotify } = worker.shown[0];
  assert.deepEqual({ silent, vibrate, renotify }, { silent: true, vibrate: undefined, renotify: false });
});

test("a newer message under the sender's own tag replaces the older one and is noticed", async () => {
  await worker.push({ ...MESSAGE, tag: "order-A-17" });
  await worker.push({ ...MESSAGE, id: "d2", tag: "order-A-17", title: "Delivered" });
  assert.deepEqual(
    worker.shown.map(({ renotify }) => renotify),
    [true, true],
  );
  assert.equal(worker.screen.get("order-A-17").title, "Delivered");
});

test("hide_content keeps only the title, hide only the site's name", async () => {
  await worker.push({ ...MESSAGE, lock_screen: "hide_content", image: "/secret.png" });
  await worker.push({ ...MESSAGE, id: "d2", tag: "d2", lock_screen: "hide" });
  const [content, all] = worker.shown;
  assert.deepEqual([content.title, content.body, content.image], [MESSAGE.title, STATE.generic, undefined]);
  assert.deepEqual([all.title, all.body, all.actions], ["Corner Shop", STATE.generic, []]);
});

test("a Declarative Web Push message is understood", async () => {
  const notification = {
    title: "Sale",
    body: "Today",
    navigate: "https://shop.example/sale",
    requireInteraction: true,
  };
  await worker.push({
    web_push: 8030,
    notification: { ...notification, actions: [{ action: "a", title: "A", navigate: "/a" }] },
  });
  const [shown] = worker.shown;
  assert.deepEqual(
    [shown.title, shown.body, shown.requireInteraction, shown.actions],
    ["Sale", "Today", true, [{ action: "a", title: "A" }]],
  );
  await worker.click("clarion", "a");
  assert.deepEqual(worker.opened, [`${ORIGIN}/a`]);
});

// --- Twice ---

test("a redelivered message on the screen is renewed without a sound and without new receipts", async () => {
  await worker.push({ ...MESSAGE, tag: "order", vibrate: [1], require_interaction: true });
  await worker.push({ ...MESSAGE, tag: "order", vibrate: [1], require_interaction: true });
  const [, again] = worker.shown;
  assert.deepEqual(
    [again.silent, again.renotify, again.vibrate, again.requireInteraction],
    [true, false, undefined, false],
  );
  assert.equal(worker.screen.size, 1);
  assert.deepEqual(sent(), ["signed-1 delivered", "signed-1 displayed"]);
});

test("a redelivered message never comes back over a newer one", async () => {
  await worker.push({ ...MESSAGE, tag: "order" });
  await worker.push({ ...MESSAGE, id: "d2", tag: "order", title: "Delivered" });
  await worker.push({ ...MESSAGE, tag: "order" });
  assert.equal(worker.screen.get("order").title, "Delivered");
  assert.equal(worker.shown.at(-1).silent, true);
});

test("a redelivered message that the person has put away does not stay", async () => {
  await worker.push(MESSAGE);
  worker.screen.clear();
  await worker.push(MESSAGE);
  assert.equal(worker.screen.size, 0);
  assert.equal(worker.shown.length, 2);
  assert.equal(worker.shown[1].silent, true);
});

test("Firefox, which would pop it up again, shows a redelivered message once", async () => {
  start({ userAgent: FIREFOX });
  await worker.push(MESSAGE);
  await worker.push(MESSAGE);
  assert.deepEqual([worker.shown.length, sent()], [1, ["signed-1 delivered", "signed-1 displayed"]]);
});

test("two deliveries of one message at the same moment sound once", async () => {
  await Promise.all([worker.push(MESSAGE), worker.push(MESSAGE)]);
  assert.deepEqual(
    worker.shown.map(({ silent }) => silent),
    [false, true],
  );
  assert.equal(worker.screen.size, 1);
});

test("the last 200 ids are remembered", async () => {
  for (let n = 0; n < 205; n++) await worker.push({ ...MESSAGE, id: `n${n}`, tag: `n${n}` });
  assert.equal(worker.kept("seen").length, 200);
  assert.equal(worker.kept("seen").at(-1), "n204");
});

// --- Clicks ---

test("a click opens the page when none is open, and says so", async () => {
  await worker.push(MESSAGE);
  await worker.click("d1");
  assert.deepEqual(worker.opened, [`${ORIGIN}/orders/A-17`]);
  assert.equal(worker.screen.size, 0);
  assert.equal(sent().at(-1), "signed-1 clicked");
  assert.equal(worker.kept("clicked").event.id, "d1");
});

test("a click focuses the window that already shows the page, and tells it", async () => {
  const other = new FakeWindow(`${ORIGIN}/`);
  const there = new FakeWindow(`${ORIGIN}/orders/A-17`, { controlled: false });
  worker.windows = [other, there];
  await worker.push(MESSAGE);
  await worker.click("d1");
  assert.ok(there.focused && !other.focused);
  assert.deepEqual(worker.opened, []);
  assert.deepEqual(there.messages.at(-1).event.action, null);
  assert.equal(there.messages.at(-1).clarion, "clicked");
});

test("a click leaves a window that shows another page alone", async () => {
  const other = new FakeWindow(`${ORIGIN}/checkout`, { focused: true });
  worker.windows = [other];
  await worker.push(MESSAGE);
  await worker.click("d1");
  assert.deepEqual(worker.opened, [`${ORIGIN}/orders/A-17`]);
  assert.equal(other.url, `${ORIGIN}/checkout`);
});

test("an action opens its own url and is named in the receipt", async () => {
  worker.windows = [new FakeWindow(`${ORIGIN}/`)];
  await worker.push(MESSAGE);
  await worker.click("d1", "track");
  assert.deepEqual(worker.opened, ["https://carrier.example/A-17"]);
  assert.equal(worker.server.to("/v1/receipts").at(-1).body.receipts.at(-1).action, "track");
});

test("an action without a url opens the message's", async () => {
  await worker.push(MESSAGE);
  await worker.click("d1", "thanks");
  assert.deepEqual(worker.opened, [`${ORIGIN}/orders/A-17`]);
});

for (const url of ["javascript:alert(1)", "data:text/html,x", "http://[bad", "file:///etc/passwd", null]) {
  test(`the url ${url} opens the site instead`, async () => {
    await worker.push({ ...MESSAGE, url });
    await worker.click("d1");
    assert.deepEqual(worker.opened, [`${ORIGIN}/`]);
  });
}

test("a dismissed notification is reported", async () => {
  await worker.push(MESSAGE);
  await worker.close(worker.screen.get("d1"));
  assert.equal(sent().at(-1), "signed-1 dismissed");
});

test("a click, a newer message in its place and our own taking back are no dismissals", async () => {
  const closed = [];
  worker.onReplaced = (old) => closed.push(worker.dispatch("notificationclose", { notification: old })); // as Firefox does
  await worker.push({ ...MESSAGE, tag: "order" });
  await worker.push({ ...MESSAGE, id: "d2", tag: "order" });
  await Promise.all(closed);
  const current = worker.screen.get("order");
  await worker.click("order");
  await worker.close(current);
  await worker.push({ ...MESSAGE, id: "d3", tag: "d3" });
  worker.screen.clear();
  await worker.push({ ...MESSAGE, id: "d3", tag: "d3" });
  await worker.dispatch("notificationclose", { notification: worker.shown.at(-1) });
  assert.equal(closed.length, 1);
  assert.deepEqual(
    sent().filter((line) => line.endsWith("dismissed")),
    [],
  );
});

test("the site's own notifications are not touched", async () => {
  const own = { data: { mine: true }, close: () => assert.fail("closed the site's own notification") };
  await worker.dispatch("notificationclick", { notification: own, action: "" });
  await worker.dispatch("notificationclose", { notification: own });
  assert.deepEqual([worker.opened, sent()], [[], []]);
});

// --- The open page ---

test("the page that has the focus hears what was shown; without one all do", async () => {
  const [front, back] = (worker.windows = [
    new FakeWindow(`${ORIGIN}/`, { focused: true }),
    new FakeWindow(`${ORIGIN}/b`),
  ]);
  await worker.push(MESSAGE);
  assert.deepEqual([front.messages.length, back.messages.length, worker.shown.length], [1, 0, 1]);
  assert.equal(front.messages[0].event.shown, true);
  front.focused = false;
  await worker.push({ ...MESSAGE, id: "d2", tag: "d2" });
  assert.deepEqual([front.messages.length, back.messages.length], [2, 1]);
});

test("foreground page: a page that has the focus and listens shows the message itself", async () => {
  start({ state: { ...STATE, foreground: "page" } });
  const page = new FakeWindow(`${ORIGIN}/`, { focused: true, awake: true });
  worker.windows = [page];
  await worker.push(MESSAGE);
  assert.deepEqual(worker.shown, []);
  assert.deepEqual([page.messages.length, page.messages[0].event.shown], [1, false]);
  assert.deepEqual(sent(), ["signed-1 delivered", "signed-1 displayed"]);
});

test("foreground page: a page that does not answer in time, or has not the focus, leaves it to the system", async () => {
  start({ state: { ...STATE, foreground: "page" } });
  worker.windows = [new FakeWindow(`${ORIGIN}/`, { focused: true, awake: false })];
  const pushed = worker.push(MESSAGE);
  await settle();
  assert.deepEqual(worker.shown, []);
  for (const due of worker.timers) due();
  await pushed;
  assert.equal(worker.shown.length, 1);
  worker.windows = [new FakeWindow(`${ORIGIN}/`, { focused: false, awake: true })];
  await worker.push({ ...MESSAGE, id: "d2", tag: "d2" });
  assert.equal(worker.shown.length, 2);
});

test("foreground page: Safari gets its notification all the same, since it counts", async () => {
  start({ userAgent: SAFARI, state: { ...STATE, foreground: "page" } });
  worker.windows = [new FakeWindow(`${ORIGIN}/`, { focused: true, awake: true })];
  await worker.push(MESSAGE);
  assert.equal(worker.shown.length, 1);
});

test("foreground both: the page and the system", async () => {
  start({ state: { ...STATE, foreground: "both" } });
  worker.windows = [new FakeWindow(`${ORIGIN}/`, { focused: true, awake: true })];
  await worker.push(MESSAGE);
  assert.deepEqual([worker.shown.length, worker.windows[0].messages.length], [1, 1]);
});

// --- Receipts ---

test("receipts wait while offline and go out with the next push", async () => {
  worker.server.online = false;
  await worker.push(MESSAGE);
  await worker.click("d1");
  assert.equal(worker.shown.length, 1);
  assert.deepEqual(
    worker.kept("receipts").map(({ receipt }) => receipt.kind),
    ["delivered", "displayed", "clicked"],
  );
  assert.deepEqual([...new Set(worker.syncs)], ["clarion"]);
  worker.server.online = true;
  await worker.push({ ...MESSAGE, id: "d2", tag: "d2", receipt: "signed-2" });
  assert.deepEqual(sent(), [
    "signed-1 delivered",
    "signed-1 displayed",
    "signed-1 clicked",
    "signed-2 delivered",
    "signed-2 displayed",
  ]);
  assert.deepEqual(worker.kept("receipts"), []);
});

for (const [type, event] of [
  ["sync", { tag: "clarion" }],
  ["activate", {}],
  ["message", { data: { clarion: "flush" } }],
]) {
  test(`waiting receipts go out at ${type}`, async () => {
    worker.server.online = false;
    await worker.push(MESSAGE);
    worker.server.online = true;
    worker.server.routes["POST /v1/sdk/devices"] = () => ({ id: "dev1", user_id: "u1" });
    await worker.dispatch(type, event);
    assert.deepEqual(sent(), ["signed-1 delivered", "signed-1 displayed"]);
  });
}

test("a sync that reaches nobody fails, so that the browser repeats it with patience", async () => {
  worker.server.online = false;
  await worker.push(MESSAGE);
  worker.syncs = [];
  await assert.rejects(worker.dispatch("sync", { tag: "clarion" }));
  assert.deepEqual(worker.syncs, []);
  await worker.dispatch("sync", { tag: "the site's own" });
});

for (const [status, left] of [
  [500, 2],
  [503, 2],
  [429, 2],
  [404, 2],
  [400, 0],
  [422, 0],
  [202, 0],
]) {
  test(`after the answer ${status} ${left} receipts are left`, async () => {
    worker.server.routes["POST /v1/receipts"] = () => [
      status,
      { accepted: 0, duplicates: 0, errors: [{ index: 0, code: "invalid_request" }] },
    ];
    await worker.push(MESSAGE);
    assert.equal(worker.kept("receipts").length, left);
  });
}

test("a receipt is given up after seven days", async (t) => {
  t.mock.timers.enable({ apis: ["Date"], now: Date.parse("2026-11-01T00:00:00Z") });
  start();
  worker.server.online = false;
  await worker.push(MESSAGE);
  t.mock.timers.setTime(Date.parse("2026-11-08T00:00:01Z"));
  worker.server.online = true;
  await worker.dispatch("message", { data: { clarion: "flush" } });
  assert.deepEqual(sent(), []);
  assert.deepEqual(worker.kept("receipts"), []);
});

test("a long queue goes out in requests small enough for keepalive", async () => {
  worker.server.online = false;
  for (let n = 0; n < 60; n++) await worker.push({ ...MESSAGE, id: `n${n}`, tag: `n${n}`, receipt: "r".repeat(300) });
  worker.server.online = true;
  await worker.dispatch("message", { data: { clarion: "flush" } });
  const sizes = worker.server.to("/v1/receipts").map(({ body }) => JSON.stringify(body).length);
  assert.equal(sizes.length, 2);
  assert.ok(Math.max(...sizes) < 64 * 1024);
});

test("a slow receipt server does not hold back the notification", async () => {
  let answer;
  worker.server.routes["POST /v1/receipts"] = () => new Promise((resolve) => (answer = resolve));
  const pushed = worker.push(MESSAGE);
  await settle();
  assert.equal(worker.shown.length, 1);
  answer([202, {}]);
  await pushed;
  assert.deepEqual(worker.kept("receipts"), []);
});

// --- The subscription ---

test("a dropped subscription is renewed with the same key and keeps the device", async () => {
  worker.server.routes["POST /v1/sdk/devices"] = () => ({ id: "dev1", user_id: "u1" });
  const oldSubscription = { endpoint: "https://push.service/old" };
  await worker.dispatch("pushsubscriptionchange", { oldSubscription, newSubscription: null });
  const [{ headers, body }] = worker.server.to("/v1/sdk/devices");
  assert.deepEqual([headers.Authorization, headers["Clarion-User"]], ["Bearer pk_test", "signed.user.token"]);
  assert.deepEqual(body, {
    ...{
      kind: "webpush",
      address: "https://push.service/1",
      installation: "i1",
      previous_address: "https://push.service/old",
    },
    ...{
      p256dh: "p256dh of https://push.service/1",
      auth: "auth of https://push.service/1",
      vapid_public_key: VAPID_KEY,
      permission: "granted",
    },
  });
  assert.equal(worker.kept("state").registered.body.address, "https://push.service/1");
  assert.equal(worker.kept("state").person.id, "u1");
});

test("a replacement that the browser made itself is registered as it is", async () => {
  worker.server.routes["POST /v1/sdk/devices"] = () => ({ id: "dev1", user_id: "u1" });
  const newSubscription = new FakeSubscription("https://push.service/new", VAPID_KEY, worker.pushManager);
  await worker.dispatch("pushsubscriptionchange", { oldSubscription: null, newSubscription });
  assert.equal(worker.server.to("/v1/sdk/devices")[0].body.address, "https://push.service/new");
  assert.equal(worker.pushManager.made, 0);
});

test("a renewal that could not be reported is reported at the next sync", async () => {
  worker.server.routes["POST /v1/sdk/devices"] = () => ({ id: "dev1", user_id: "u1" });
  worker.server.online = false;
  await worker.dispatch("pushsubscriptionchange", { oldSubscription: null, newSubscription: null });
  assert.deepEqual(worker.syncs, ["clarion"]);
  worker.server.online = true;
  await worker.dispatch("sync", { tag: "clarion" });
  assert.equal(worker.server.to("/v1/sdk/devices")[0].body.previous_address, "https://push.service/old");
  assert.equal(worker.pushManager.made, 1);
});

test("a browser that its person switched off is not subscribed again", async () => {
  start({ state: { ...STATE, wanted: false } });
  await worker.dispatch("pushsubscriptionchange", { oldSubscription: null, newSubscription: null });
  assert.equal(worker.pushManager.made, 0);
  assert.deepEqual(worker.server.calls, []);
});

test("the script leaves no name in the worker's global scope and takes over open pages", async () => {
  assert.deepEqual(worker.leaked, []);
  await worker.dispatch("activate");
  assert.ok(worker.claimed);
});

const REPLACED = { ...MESSAGE, id: "d2", receipt: "signed-2", body: "3 stops away.", update: "replace" };
const WITHDRAWN = { v: 1, id: "d3", receipt: "signed-3", receipts_url: RECEIPTS, tag: "d1", title: "", body: "" };

test("what replaces takes its place without a sound, unless it asks for one or comes first", async () => {
  await worker.push(MESSAGE);
  await worker.push({ ...REPLACED, require_interaction: true });
  const [shown] = worker.screen.values();
  assert.deepEqual([worker.screen.size, shown.body, shown.silent], [1, "3 stops away.", true]);
  assert.equal(shown.requireInteraction, true);
  await worker.push({ ...REPLACED, id: "d4", renotify: true });
  assert.deepEqual([worker.screen.size, [...worker.screen.values()][0].silent], [1, false]);
  start();
  await worker.push(REPLACED);
  assert.equal([...worker.screen.values()][0].silent, false);
});

for (const [browser, userAgent] of [
  ["Chromium", undefined],
  ["Firefox", FIREFOX],
  ["Safari", SAFARI],
]) {
  test(`what is withdrawn goes when ${browser} has counted, and is no dismissal`, async () => {
    start(userAgent && { userAgent });
    await worker.push(MESSAGE);
    const [shown] = worker.screen.values();
    const pushed = worker.push({ ...WITHDRAWN, update: "withdraw" });
    if (browser !== "Firefox") await pushed; // there it is the event that waits
    await settle();
    assert.equal(worker.screen.size, 1);
    for (const timer of worker.timers.splice(0)) timer();
    await pushed;
    await settle();
    assert.equal(worker.screen.size, 0);
    await worker.close(shown);
    assert.deepEqual(
      sent().filter((each) => !each.includes("displayed")),
      ["signed-1 delivered", "signed-3 delivered"],
    );
    assert.deepEqual(worker.kept("closing"), []);
  });
}

test("beside another notification it goes at once, and what is newer stays", async () => {
  await worker.push(MESSAGE);
  await worker.push({ ...MESSAGE, id: "other", tag: "other" });
  await worker.push({ ...WITHDRAWN, update: "withdraw" });
  assert.deepEqual([...worker.screen.keys()], ["other"]);
});

test("a worker that was stopped closes what is overdue when it wakes", async () => {
  await worker.push(MESSAGE);
  worker.indexedDB.values.set("closing", [{ tag: "d1", ids: ["d1"], at: Date.now() - 1 }]);
  await worker.push({ ...MESSAGE, id: "other", tag: "other" });
  assert.deepEqual([...worker.screen.keys()], ["other"]);
});
