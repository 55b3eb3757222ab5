/** The page's part: who asks, who is registered as whom, and what survives a failure. */
import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";
import { FakeBrowser, FakeWorker, SERVER, VAPID_KEY, settle } from "./fakes.js";

const browser = new FakeBrowser(); // one for the file: the SDK opens its storage once a process
const { Clarion, ClarionError } = await import("../clarion.js");

const DEVICES = "/v1/sdk/devices";
const DAY_MS = 24 * 3_600_000;
const push = ["push"];
const CATEGORIES = [
  {
    name: "security",
    title: "Security",
    description: "Logins",
    class: "mandatory",
    default: true,
    channels: push,
    locked: true,
  },
  {
    name: "orders",
    title: "Orders",
    description: "Where they are",
    class: "informational",
    default: true,
    channels: push,
    locked: false,
  },
  {
    name: "offers",
    title: "Offers",
    description: "",
    class: "marketing",
    default: false,
    channels: push,
    locked: false,
  },
  {
    name: "letter",
    title: "Letter",
    description: "",
    class: "marketing",
    default: false,
    channels: ["email"],
    locked: false,
  },
];
const CHOICES = [
  { category: "orders", granted: true },
  { category: "offers", granted: false },
];

/** What the person does with the soft prompt, and what was asked. */
let yes, questions;
async function ask(question) {
  questions.push(question);
  return yes ? { permission: await question.confirm(), choices: CHOICES, wording: "May we?" } : null;
}

/** A page of the site. */
async function visit(options = {}) {
  browser.leave();
  const clarion = new Clarion({ server: `${SERVER}/`, key: "pk_test", ...options }, { ask });
  await clarion.ready;
  return clarion;
}

const posts = (path = DEVICES) => browser.server.calls.filter((call) => call.method === "POST" && call.path === path);

beforeEach((t) => {
  t.mock.timers?.reset();
  browser.indexedDB.values.clear();
  Object.assign(browser, {
    permission: "default",
    answer: "granted",
    asked: 0,
    registrations: [],
    posted: [],
    workerScript: "/clarion-sw.js",
  });
  Object.assign(browser.pushManager, { subscription: null, refuse: null });
  Object.assign(browser.server, { calls: [], online: true });
  [yes, questions] = [true, []];
  let devices = 0;
  browser.server.routes = {
    "GET /v1/sdk/config": () => ({
      project: "Corner Shop",
      vapid_public_key: VAPID_KEY,
      categories: CATEGORIES,
      push_url: "",
      receipts_url: "",
    }),
    "POST /v1/sdk/devices": ({ headers, body }) => {
      const user = headers["Clarion-User"];
      const device = { id: "dev1", user_id: user ?? `anon${++devices}`, kind: "webpush", permission: body.permission };
      return [201, user ? device : { ...device, user_token: `secret-of-anon${devices}` }];
    },
    "DELETE /v1/sdk/devices/dev1": () => [204, null],
    "PUT /v1/sdk/preferences": () => ({ preferences: [] }),
    "GET /v1/sdk/preferences": () => ({
      categories: [{ category: "orders", locked: false, channels: { push: true } }],
    }),
    "POST /v1/sdk/events": ({ body }) => [202, { accepted: body.events.length, duplicates: 0, errors: [] }],
  };
});

// --- Asking ---

test("yes to both prompts: subscribed, registered, and the choices on record with their words", async () => {
  const clarion = await visit({ locale: "fr-FR" });
  const device = await clarion.enable({ prompt: true });
  assert.deepEqual(device, { id: "dev1", user_id: "anon1", kind: "webpush", permission: "granted" });
  assert.deepEqual(
    [questions[0].site, questions[0].categories.length, questions[0].texts.yes],
    ["Corner Shop", 3, "Oui, prévenez-moi"],
  );
  const [{ headers, body }] = posts();
  assert.equal(headers.Authorization, "Bearer pk_test");
  assert.equal(headers["Clarion-User"], undefined);
  const { installation, timezone, ...rest } = body;
  assert.match(installation, /^[0-9a-f-]{36}$/);
  assert.equal(timezone, Intl.DateTimeFormat().resolvedOptions().timeZone);
  const address = browser.pushManager.subscription.endpoint;
  assert.deepEqual(rest, {
    ...{
      kind: "webpush",
      address,
      p256dh: `p256dh of ${address}`,
      auth: `auth of ${address}`,
      vapid_public_key: VAPID_KEY,
    },
    ...{ permission: "granted", locale: "fr-FR", model: "Firefox 153 on Linux" },
  });
  const { headers: asUser, body: consent } = browser.server.to("/v1/sdk/preferences")[0];
  assert.equal(asUser["Clarion-User"], "secret-of-anon1");
  assert.deepEqual(consent, {
    ...{ source: "sdk_prompt", wording: "May we?" },
    preferences: [
      { category: "orders", granted: true, channel: "push" },
      { category: "offers", granted: false, channel: "push" },
    ],
  });
});

test("no to the soft prompt: the browser is never asked, nothing is sent, and it is remembered across pages", async (t) => {
  t.mock.timers.enable({ apis: ["Date"], now: Date.parse("2026-11-01") });
  yes = false;
  assert.equal(await (await visit()).enable(), null);
  yes = true;
  const clarion = await visit();
  assert.equal(await clarion.enable(), null);
  assert.equal(await clarion.enable({ prompt: false }), null);
  assert.deepEqual([questions.length, browser.asked, posts()], [1, 0, []]);
  t.mock.timers.setTime(Date.parse("2026-11-30T23:59"));
  assert.equal(await (await visit()).enable(), null);
  t.mock.timers.setTime(Date.parse("2026-12-01T00:01"));
  assert.equal((await (await visit()).enable()).id, "dev1");
});

test("a site may ask again at any time", async () => {
  yes = false;
  const patient = await visit();
  await patient.enable();
  await (await visit({ askAgainAfterDays: 0 })).enable();
  await patient.enable({ askAgainAfterDays: 0 });
  assert.equal(questions.length, 3);
});

test("prompt false goes straight to the browser, within the click", async () => {
  const clarion = await visit();
  const device = clarion.enable({ prompt: false });
  assert.equal(browser.asked, 1, "asked before the first wait");
  assert.equal((await device).id, "dev1");
  assert.deepEqual([questions, browser.server.to("/v1/sdk/preferences")], [[], []]);
});

test("the browser's no is registered without an address, and ends in null", async () => {
  browser.answer = "denied";
  const clarion = await visit();
  assert.equal(await clarion.enable(), null);
  assert.equal(clarion.permission, "denied");
  const [{ body }] = posts();
  assert.deepEqual(
    [body.permission, body.address, body.p256dh, body.auth, body.vapid_public_key],
    ["denied"].concat(Array(4).fill(undefined)),
  );
  const { installation } = body;
  browser.permission = "granted"; // changed in the browser's settings
  await visit();
  assert.deepEqual([posts()[1].body.permission, posts()[1].body.installation], ["granted", installation]);
  assert.ok(posts()[1].body.address);
});

test("closing the browser's prompt without an answer counts as not now", async () => {
  browser.answer = "default";
  const clarion = await visit();
  assert.equal(await clarion.enable(), null);
  assert.equal(await clarion.enable(), null);
  assert.deepEqual([browser.asked, posts().length], [1, 0]);
});

test("nobody who said yes is asked twice, and two clicks ask once", async () => {
  const clarion = await visit();
  const [one, two] = await Promise.all([clarion.enable(), clarion.enable()]);
  assert.equal(one, two);
  assert.equal((await (await visit()).enable()).id, "dev1");
  assert.deepEqual([questions.length, browser.asked, browser.pushManager.subscription !== null], [1, 1, true]);
});

test("where push is unsupported enable says why", async () => {
  const { PushManager } = globalThis;
  const { userAgent } = browser.navigator;
  delete globalThis.PushManager;
  browser.navigator.userAgent =
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_4 like Mac OS X) AppleWebKit/605.1.15 Version/18.4 Mobile Safari/604.1";
  try {
    const clarion = await visit();
    assert.deepEqual([clarion.permission, clarion.hint], ["unsupported", "add_to_home_screen"]);
    await assert.rejects(clarion.enable(), { name: "ClarionError", code: "unsupported", detail: /Home Screen/ });
  } finally {
    globalThis.PushManager = PushManager;
    browser.navigator.userAgent = userAgent;
  }
});

test("a push service that refuses is a clear error, and the next visit tries again", async (t) => {
  const warned = t.mock.method(console, "warn", () => {});
  browser.pushManager.refuse = new Error("Registration failed - push service error");
  const clarion = await visit();
  await assert.rejects(clarion.enable(), (error) => error instanceof ClarionError && error.code === "push_unavailable");
  assert.equal(await (await visit()).ready, null);
  assert.equal(warned.mock.callCount(), 1);
  browser.pushManager.refuse = null;
  assert.equal((await (await visit()).ready).id, "dev1");
  assert.equal(browser.server.to("/v1/sdk/preferences").length, 1, "the choices were not lost");
});

// --- Staying registered ---

test("the next page of the day has nothing to say to the server", async () => {
  await (await visit()).enable();
  browser.server.calls = [];
  const device = await (await visit()).ready;
  assert.equal(device.id, "dev1");
  assert.deepEqual(browser.server.calls, []);
  assert.deepEqual(browser.posted, [{ clarion: "flush" }]);
});

test("once a day the registration is repeated", async (t) => {
  t.mock.timers.enable({ apis: ["Date"], now: Date.parse("2026-11-01") });
  await (await visit()).enable();
  t.mock.timers.tick(DAY_MS + 1);
  await visit();
  assert.equal(posts().length, 2);
});

test("a changed endpoint keeps the device by its previous address", async () => {
  await (await visit()).enable();
  const before = posts()[0].body.address;
  browser.pushManager.subscription = null; // the browser dropped it
  await visit();
  assert.equal(posts()[1].body.previous_address, before);
  assert.notEqual(posts()[1].body.address, before);
});

test("a changed VAPID key makes a new subscription", async (t) => {
  t.mock.timers.enable({ apis: ["Date"], now: Date.parse("2026-11-01") });
  await (await visit()).enable();
  const other = Buffer.from("n".repeat(65)).toString("base64url");
  const config = browser.server.routes["GET /v1/sdk/config"]();
  browser.server.routes["GET /v1/sdk/config"] = () => ({ ...config, vapid_public_key: other });
  t.mock.timers.tick(DAY_MS + 1);
  await visit();
  const [, { body }] = posts();
  assert.equal(body.vapid_public_key, other);
  assert.equal(Buffer.from(browser.pushManager.subscription.options.applicationServerKey).toString("base64url"), other);
  assert.ok(body.previous_address);
});

test("a changed language is told", async () => {
  await (await visit()).enable();
  await visit({ locale: "es" });
  assert.equal(posts()[1].body.locale, "es");
});

test("a permission taken back in the browser's settings is reported", async () => {
  await (await visit()).enable();
  Object.assign(browser, { permission: "denied" });
  browser.pushManager.subscription = null;
  await visit();
  const [, { body }] = posts();
  assert.deepEqual([body.permission, body.address], ["denied", undefined]);
});

test("a visitor who never asked for anything is not registered", async () => {
  browser.permission = "granted"; // the site may have used notifications before
  await visit();
  assert.deepEqual(browser.server.calls, []);
  assert.deepEqual(browser.registrations, []);
});

test("disable unsubscribes and deletes the device; the next page leaves it so", async () => {
  const clarion = await visit();
  await clarion.enable();
  await clarion.disable();
  assert.equal(browser.pushManager.subscription, null);
  assert.deepEqual(
    browser.server.to(`${DEVICES}/dev1`).map(({ method }) => method),
    ["DELETE"],
  );
  browser.server.calls = [];
  assert.equal(await (await visit()).ready, null);
  assert.deepEqual(browser.server.calls, []);
});

test("disable leaves another worker of the site, and its subscription, alone", async () => {
  const clarion = await visit();
  await clarion.enable();
  const subscription = browser.pushManager.subscription;
  browser.workerScript = "/the-sites-own.js";
  await clarion.disable();
  assert.equal(browser.pushManager.subscription, subscription);
});

test("a site that may notify, but not by us, does not count as a yes", async () => {
  const clarion = await visit();
  await clarion.enable();
  await clarion.disable();
  await clarion.identify("u1"); // merges the anonymous user, who has no address any more
  assert.equal(browser.permission, "granted");
  const { headers, body } = posts().at(-1);
  assert.deepEqual(
    [body.permission, body.address, headers["Clarion-Anonymous"]],
    ["default", undefined, "secret-of-anon1"],
  );
});

test("a page knows what another tab did", async () => {
  const [one, two] = [await visit(), await visit()];
  await two.enable();
  await one.disable();
  assert.equal(browser.pushManager.subscription, null);
  assert.equal(browser.server.to(`${DEVICES}/dev1`).length, 1);
});

test("disable is content with a device that the server has deleted already", async (t) => {
  t.mock.method(console, "warn", () => {});
  const clarion = await visit();
  await clarion.enable();
  delete browser.server.routes["DELETE /v1/sdk/devices/dev1"];
  await clarion.disable();
  assert.equal(await (await visit()).ready, null);
});

test("choices that the server could not take now go out on the next page", async () => {
  const take = browser.server.routes["PUT /v1/sdk/preferences"];
  browser.server.routes["PUT /v1/sdk/preferences"] = () => [503, { code: "unavailable", detail: "back soon" }];
  await assert.rejects((await visit()).enable(), { code: "unavailable", temporary: true });
  browser.server.routes["PUT /v1/sdk/preferences"] = take;
  await visit();
  await visit();
  assert.equal(browser.server.to("/v1/sdk/preferences").length, 2);
});

test("choices that the server refuses do not stand in the way for ever", async (t) => {
  const warned = t.mock.method(console, "warn", () => {});
  browser.server.routes["PUT /v1/sdk/preferences"] = () => [
    400,
    { code: "invalid_request", detail: "no category offers" },
  ];
  assert.equal((await (await visit()).enable()).id, "dev1");
  await visit();
  assert.equal(browser.server.to("/v1/sdk/preferences").length, 1);
  assert.equal(warned.mock.callCount(), 1);
});

test("disable works offline", async (t) => {
  t.mock.method(console, "warn", () => {});
  const clarion = await visit();
  await clarion.enable();
  browser.server.online = false;
  await clarion.disable();
  assert.equal(browser.pushManager.subscription, null);
});

// --- Who ---

test("login merges the anonymous device: both credentials once, then the anonymous one is forgotten", async () => {
  const clarion = await visit();
  await clarion.enable();
  await clarion.identify("u1", { token: "jwt-1" });
  await clarion.track("seen");
  const [, { headers }] = posts();
  assert.deepEqual([headers["Clarion-User"], headers["Clarion-Anonymous"]], ["jwt-1", "secret-of-anon1"]);
  assert.equal(posts("/v1/sdk/events")[0].headers["Clarion-Anonymous"], undefined);
  assert.equal(browser.indexedDB.values.get("state").person.anonymous, null);
});

test("a merge that failed offline is made up for on the next page", async () => {
  const clarion = await visit();
  await clarion.enable();
  browser.server.online = false;
  await clarion.identify("u1");
  browser.server.online = true;
  await visit();
  const { headers } = posts().at(-1);
  assert.deepEqual([headers["Clarion-User"], headers["Clarion-Anonymous"]], ["u1", "secret-of-anon1"]);
});

test("identify before enable needs no call; a fresh token on the next page neither", async () => {
  const clarion = await visit();
  await clarion.identify("u1", { token: "jwt-1" });
  assert.deepEqual(browser.server.calls, []);
  await clarion.enable();
  browser.leave();
  const next = new Clarion({ server: SERVER, key: "pk_test" }, { ask });
  await next.identify("u1", { token: "jwt-2" });
  await next.ready;
  assert.equal(posts().length, 1);
  await next.track("seen");
  assert.equal(posts("/v1/sdk/events")[0].headers["Clarion-User"], "jwt-2");
});

test("a stale page registers with the token given now, not with yesterday's", async (t) => {
  t.mock.timers.enable({ apis: ["Date"], now: Date.parse("2026-11-01") });
  const clarion = await visit();
  await clarion.identify("u1", { token: "jwt-1" });
  await clarion.enable();
  t.mock.timers.tick(DAY_MS + 1);
  const next = new Clarion({ server: SERVER, key: "pk_test" }, { ask });
  await next.identify("u1", { token: "jwt-2" });
  await next.ready;
  assert.deepEqual(
    posts().map(({ headers }) => headers["Clarion-User"]),
    ["jwt-1", "jwt-2"],
  );
});

test("logout makes the device anonymous, another login moves it", async () => {
  const clarion = await visit();
  await clarion.identify("u1");
  await clarion.enable();
  await clarion.identify(null);
  await clarion.identify("u2");
  assert.deepEqual(
    posts().map(({ headers }) => headers["Clarion-User"]),
    ["u1", undefined, "u2"],
  );
});

test("a server that has forgotten the anonymous user gets a new one", async () => {
  const clarion = await visit();
  await clarion.enable();
  const register = browser.server.routes["POST /v1/sdk/devices"];
  browser.server.routes["POST /v1/sdk/devices"] = (call) =>
    call.headers["Clarion-User"] ? [401, { code: "unauthenticated", detail: "unknown user" }] : register(call);
  await visit({ locale: "es" });
  assert.equal(browser.indexedDB.values.get("state").person.anonymous, "secret-of-anon2");
});

test("a server that has forgotten the anonymous user registers a known one without it", async () => {
  const clarion = await visit();
  await clarion.enable();
  const register = browser.server.routes["POST /v1/sdk/devices"];
  browser.server.routes["POST /v1/sdk/devices"] = (call) =>
    call.headers["Clarion-Anonymous"] ? [401, { code: "unauthenticated", detail: "not a user_token" }] : register(call);
  await clarion.identify("u1");
  assert.deepEqual([posts().at(-1).headers["Clarion-User"], (await (await visit()).ready).user_id], ["u1", "u1"]);
});

test("an expired user token does not lose the anonymous user: a fresh one merges", async () => {
  const clarion = await visit();
  await clarion.enable();
  const register = browser.server.routes["POST /v1/sdk/devices"];
  browser.server.routes["POST /v1/sdk/devices"] = () => [401, { code: "unauthenticated", detail: "exp is past" }];
  await assert.rejects(clarion.identify("u1", { token: "old" }), { code: "unauthenticated" });
  browser.server.routes["POST /v1/sdk/devices"] = register;
  await clarion.identify("u1", { token: "new" });
  const { headers } = posts().at(-1);
  assert.deepEqual([headers["Clarion-User"], headers["Clarion-Anonymous"]], ["new", "secret-of-anon1"]);
});

test("a server in trouble is not taken for one that has forgotten", async (t) => {
  t.mock.method(console, "warn", () => {});
  await (await visit()).enable();
  browser.server.calls = [];
  browser.server.routes["POST /v1/sdk/devices"] = () => [503, { code: "unavailable", detail: "back soon" }];
  await visit({ locale: "es" });
  assert.deepEqual(
    posts().map(({ headers }) => headers["Clarion-User"]),
    ["secret-of-anon1"],
  );
});

test("a device without an address is no device to rely on", async () => {
  const clarion = await visit();
  await clarion.track("seen"); // registers the visitor, not an address
  browser.permission = "granted";
  assert.equal(await (await visit()).ready, null);
});

test("a refused token is the site's error, with the server's words", async () => {
  browser.server.routes["POST /v1/sdk/devices"] = () => [
    401,
    { code: "unauthenticated", detail: "The user token has expired.", errors: [] },
  ];
  const clarion = await visit();
  await clarion.identify("u1", { token: "old" });
  await assert.rejects(clarion.enable(), {
    code: "unauthenticated",
    status: 401,
    detail: "The user token has expired.",
    errors: [],
  });
});

for (const id of [42, "", "žofia", "two words", undefined]) {
  test(`identify(${JSON.stringify(id)}) without a token is refused at once`, async () => {
    await assert.rejects((await visit()).identify(id), TypeError);
  });
}

test("constructor options are checked by name", () => {
  const good = { server: SERVER, key: "pk_test" };
  for (const [name, value] of [
    ["server", "push.example"],
    ["key", "sk_secret"],
    ["foreground", "never"],
    ["askAgainAfterDays", -1],
  ]) {
    assert.throws(() => new Clarion({ ...good, [name]: value }), {
      name: "TypeError",
      message: new RegExp(`^${name}`),
    });
  }
});

// --- Events and preferences ---

test("an event of a nameless visitor makes an anonymous user, without asking for anything", async () => {
  const clarion = await visit();
  await clarion.track("cart_added", { sku: "A" });
  assert.deepEqual([posts()[0].body.permission, posts()[0].body.address, browser.asked], ["default", undefined, 0]);
  const [{ headers, body }] = posts("/v1/sdk/events");
  assert.equal(headers["Clarion-User"], "secret-of-anon1");
  const [{ id, occurred_at, ...event }] = body.events;
  assert.deepEqual(event, { name: "cart_added", properties: { sku: "A" } });
  assert.match(id, /^[0-9a-f-]{36}$/);
  assert.ok(!Number.isNaN(Date.parse(occurred_at)));
});

test("events tracked offline go out on the next page, once", async () => {
  const clarion = await visit();
  await clarion.identify("u1");
  browser.server.online = false;
  await clarion.track("one");
  await clarion.track("two");
  browser.server.online = true;
  await visit();
  await visit();
  assert.deepEqual(
    posts("/v1/sdk/events").map(({ body }) => body.events.map(({ name }) => name)),
    [["one", "two"]],
  );
});

test("the queue of events is bounded, and seven days old at most", async (t) => {
  t.mock.timers.enable({ apis: ["Date"], now: Date.parse("2026-11-01") });
  const clarion = await visit();
  await clarion.identify("u1");
  browser.server.online = false;
  const event = { id: "old", name: "old", properties: {}, occurred_at: new Date().toISOString() };
  browser.indexedDB.values.set("events", Array(1_000).fill({ person: "u1", event }));
  t.mock.timers.tick(7 * DAY_MS + 1);
  browser.server.online = false;
  await clarion.track("new");
  assert.deepEqual(
    browser.indexedDB.values.get("events").map((entry) => entry.event.name),
    ["new"],
  );
  browser.indexedDB.values.set("events", Array(1_000).fill({ person: "u2", event: { ...event, occurred_at: "2027" } }));
  await clarion.track("newer");
  assert.equal(browser.indexedDB.values.get("events").length, 1_000);
});

test("an event of one user never goes out as another's", async () => {
  const clarion = await visit();
  await clarion.identify("u1");
  browser.server.online = false;
  await clarion.track("private");
  browser.server.online = true;
  await clarion.identify("u2");
  await clarion.track("own");
  assert.deepEqual(
    posts("/v1/sdk/events").map(({ headers, body }) => [headers["Clarion-User"], body.events.length]),
    [["u2", 1]],
  );
  await clarion.identify("u1");
  await visit();
  assert.equal(posts("/v1/sdk/events").at(-1).body.events[0].name, "private");
});

test("a refused event is told to its caller and not repeated", async () => {
  const clarion = await visit();
  await clarion.identify("u1");
  browser.server.routes["POST /v1/sdk/events"] = () => [
    202,
    {
      accepted: 0,
      duplicates: 0,
      errors: [{ index: 0, code: "invalid_request", field: "name", message: "must not be empty" }],
    },
  ];
  await assert.rejects(clarion.track(""), {
    code: "invalid_request",
    errors: [{ field: "name", message: "must not be empty" }],
  });
  browser.server.routes["POST /v1/sdk/events"] = () => [
    400,
    { code: "invalid_request", detail: "properties too large" },
  ];
  await assert.rejects(clarion.track("big"), { code: "invalid_request", detail: "properties too large" });
  browser.server.calls = [];
  await visit();
  assert.deepEqual(browser.server.calls, []);
});

test("preferences are read and set for the caller's own user", async () => {
  const clarion = await visit();
  await clarion.identify("u1", { token: "jwt" });
  assert.deepEqual(await clarion.preferences(), [{ category: "orders", locked: false, channels: { push: true } }]);
  await clarion.setPreference("offers", "push", false);
  const { headers, body } = browser.server.to("/v1/sdk/preferences")[1];
  assert.equal(headers["Clarion-User"], "jwt");
  assert.deepEqual(body, { preferences: [{ category: "offers", channel: "push", granted: false }], source: "sdk" });
});

test("topics are read, subscribed to and left for the caller's own user", async () => {
  const news = { topic: "news", title: "News", description: "", subscribed: false };
  browser.server.routes["GET /v1/sdk/topics"] = () => ({ items: [news] });
  browser.server.routes["PUT /v1/sdk/topics"] = () => ({ items: [news] });
  const clarion = await visit();
  await clarion.identify("u1", { token: "jwt" });
  assert.deepEqual(await clarion.topics(), [news]);
  await clarion.subscribe("news");
  await clarion.unsubscribe("news");
  const [, on, off] = browser.server.to("/v1/sdk/topics");
  assert.equal(on.headers["Clarion-User"], "jwt");
  assert.deepEqual([on.body, off.body], [true, false].map((subscribed) => ({ topic: "news", subscribed })));
});

// --- The worker and the page ---

test("listeners hear the worker until they are taken off, and answer for the page", async () => {
  const clarion = await visit();
  const heard = [];
  const message = { clarion: "received", event: { id: "d1", title: "Hello", shown: false } };
  assert.equal(await browser.message(message), false);
  const off = clarion.on("received", (event) => heard.push(event.title));
  assert.equal(await browser.message(message), true);
  off();
  assert.equal(await browser.message(message), false);
  assert.equal(await browser.message("something of the site's own"), false);
  assert.deepEqual(heard, ["Hello"]);
  assert.throws(() => clarion.on("opened", () => {}), TypeError);
});

test("the page that a click opened hears of it, and only that one", async () => {
  browser.indexedDB.values.set("clicked", { at: Date.now(), event: { id: "d1", action: "track" } });
  for (const expected of [[{ id: "d1", action: "track" }], []]) {
    browser.leave();
    const clarion = new Clarion({ server: SERVER, key: "pk_test" }, { ask });
    const heard = [];
    clarion.on("clicked", (event) => heard.push(event));
    await clarion.ready;
    await settle();
    assert.deepEqual(heard, expected);
  }
});

test("what the page writes is what the worker reads", async () => {
  const clarion = await visit({ locale: "de", texts: { generic: "Neues aus dem Laden" } });
  await clarion.identify("u1", { token: "jwt" });
  await clarion.enable();
  const worker = new FakeWorker({ state: browser.indexedDB.values.get("state") });
  await worker.push(null);
  assert.deepEqual([worker.shown[0].title, worker.shown[0].body], ["Corner Shop", "Neues aus dem Laden"]);
  worker.server.routes["POST /v1/sdk/devices"] = () => ({ id: "dev1", user_id: "u1" });
  worker.pushManager.made = 100;
  await worker.dispatch("pushsubscriptionchange", {});
  const [{ headers, body }] = worker.server.to(DEVICES);
  assert.equal(headers["Clarion-User"], "jwt");
  assert.equal(body.previous_address, posts()[0].body.address);
});

test("server down: ready still settles, enable says unreachable", async () => {
  browser.server.online = false;
  const clarion = await visit();
  await assert.rejects(clarion.enable(), { code: "unreachable", status: 0 });
});
