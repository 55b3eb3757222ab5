/**
 * The service worker's part of the web SDK: shows what arrives, opens the right page on a click, and reports both.
 * A site hosts one line of its own: importScripts("https://server/sdk/clarion-sw.js"). It is a classic script and leaves no
 * name in the global scope, so that it can live beside a site's own worker code. Start reading at `receive`.
 */
(() => {
  "use strict";

  /**
   * @typedef {import("./types.js").Kept} Kept
   * @typedef {import("./types.js").Payload} Payload
   * @typedef {import("./types.js").State} State
   * @typedef {import("./types.js").QueuedReceipt} QueuedReceipt
   */

  const worker = /** @type {ServiceWorkerGlobalScope} */ (/** @type {unknown} */ (self));
  const SYNC = "clarion";
  const SEEN_LIMIT = 200;
  const RECEIPTS_LIMIT = 1_000;
  /** Browsers refuse `keepalive` requests over 64 KiB; a receipt is about 300 bytes. */
  const BATCH = 100;
  const WEEK_MS = 7 * 24 * 3_600_000;
  const PATIENCE_MS = 10_000;
  /** A page that is awake answers within this time; a suspended one may still claim to have the focus. */
  const PAGE_MS = 400;

  // --- What arrives ---

  worker.addEventListener("push", (event) => event.waitUntil(receive(parse(event.data))));

  /** What is being shown, by message id; a redelivery waits for the first. @type {Map<string, Promise<void>>} */
  const turns = new Map();

  /** @param {Payload} payload */
  async function receive(payload) {
    const id = payload.id ?? "";
    const turn = (turns.get(id) ?? Promise.resolve()).then(() => receiveInTurn(payload));
    turns.set(
      id,
      turn.catch(() => {}),
    );
    await turn.finally(() => orLater(flush()));
  }

  /**
   * The id is remembered after the showing: a worker killed between the two shows again, in place, rather than never.
   *
   * @param {Payload} payload
   */
  async function receiveInTurn(payload) {
    const { id } = payload;
    const [state, seen] = await Promise.all([read("state"), read("seen"), closeOverdue()]);
    const again = Boolean(id && seen?.includes(id));
    if (payload.update === "withdraw") return withdraw(payload, state, again);
    if (again) return showAgain(payload, state);
    const [shown] = await Promise.allSettled([display(payload, state), note(payload, "delivered")]);
    if (shown.status === "rejected") throw shown.reason;
    if (id) await update("seen", (all = []) => [...all, id].slice(-SEEN_LIMIT));
    await note(payload, "displayed");
  }

  /**
   * The message, or an empty one when it cannot be read: something must be shown all the same. A Declarative Web Push
   * message (Push API, "declarative push message") is understood too, for browsers that leave it to the worker.
   *
   * @param {PushMessageData | null} data null for a push without a body
   * @returns {Payload}
   */
  function parse(data) {
    try {
      const message = data?.json();
      if (typeof message !== "object" || message === null) return {};
      return message.web_push === 8030 ? { ...fromDeclarative(message.notification), ...message } : message;
    } catch {
      return {};
    }
  }

  /** @param {Record<string, any>} notification @returns {Payload} */
  function fromDeclarative({ navigate, actions, requireInteraction, ...same }) {
    const buttons = actions?.map((/** @type {any} */ { action, navigate: url, ...rest }) => ({
      ...rest,
      id: action,
      url,
    }));
    return { ...same, url: navigate, actions: buttons, require_interaction: requireInteraction };
  }

  // --- Showing it ---

  /** @param {Payload} payload @param {State | undefined} state undefined until a page has used the SDK */
  async function display(payload, state) {
    const pageAlone = state?.foreground === "page" && !APPLE;
    const before = payload.update === "replace" ? await standing(tagOf(payload)) : [];
    if (pageAlone && (await pageTakes(payload))) return close(before);
    // Nothing on the screen: it comes as a first one. Firefox knows no `renotify`, so what replaces is silent itself.
    const quietly = before.length > 0 && !payload.renotify;
    await Promise.all([show(payload, state, { quietly }), tellReceived({ ...payload, shown: true })]);
  }

  /** Pushes that show nothing: Apple ends a subscription after three, focus or not; Firefox is patient. */
  const { userAgent } = worker.navigator;
  const APPLE = /AppleWebKit/.test(userAgent) && !/Chrome|Chromium/.test(userAgent);
  const FIREFOX = /Firefox\//.test(userAgent);

  /**
   * Offers the message to the page that has the focus. It takes it by answering, which the SDK does when the site listens.
   *
   * @param {Payload} payload
   * @returns {Promise<boolean>}
   */
  async function pageTakes(payload) {
    const focused = (await windows()).find((client) => client.focused);
    if (!focused) return false;
    const { port1, port2 } = new MessageChannel();
    const answer = new Promise((resolve) => {
      port1.onmessage = () => resolve(true);
      setTimeout(resolve, PAGE_MS, false);
    });
    focused.postMessage({ clarion: "received", event: { ...payload, shown: false } }, [port2]);
    return answer.finally(() => port1.close());
  }

  /** @param {Payload} payload @param {State | undefined} state @param {{quietly?: boolean}} [how] without a sound */
  async function show(payload, state, { quietly = false } = {}) {
    const { title, body } = wordsOf(payload, state);
    const { registration } = worker;
    const least = { body, tag: tagOf(payload), data: { clarion: payload } };
    try {
      await registration.showNotification(title, { ...least, ...optionsOf(payload, quietly) });
    } catch {
      await registration.showNotification(title, least); // an option that this browser refuses must not cost the words
    }
  }

  /**
   * The web has no control over the lock screen, so what must not be read there is not in the notification at all:
   * `hide_content` keeps only the title, `hide` only the site's name.
   *
   * @param {Payload} payload
   * @param {State | undefined} state
   */
  function wordsOf({ title, body, lock_screen: lockScreen }, state) {
    const generic = state?.generic ?? "There is something new for you.";
    if (lockScreen === "hide" || !title)
      return { title: state?.config?.value.project ?? worker.location.hostname, body: generic };
    return { title, body: lockScreen === "hide_content" ? generic : (body ?? "") };
  }

  /** @param {Payload} payload @param {boolean} quietly */
  function optionsOf(payload, quietly) {
    const { icon, badge, image, vibrate, lock_screen: lockScreen } = payload;
    const silent = quietly || payload.silent === true;
    const buttons = lockScreen === "hide" ? [] : (payload.actions ?? []);
    return {
      icon: icon || undefined,
      badge: badge || undefined,
      image: lockScreen === "hide" || lockScreen === "hide_content" ? undefined : image || undefined,
      silent,
      // The sender's own tag means that this message is newer than the one that it replaces: worth a sound.
      renotify: !silent && Boolean(payload.id) && tagOf(payload) !== payload.id,
      // A silent notification with a pattern is an error.
      vibrate: !silent && vibrate?.length ? vibrate : undefined,
      requireInteraction: payload.require_interaction === true && (!quietly || payload.update === "replace"),
      actions: buttons.map(({ id, title, icon: picture }) => ({ action: id, title, icon: picture || undefined })),
    };
  }

  /** @param {Payload} payload */
  function tagOf(payload) {
    return payload.tag ?? payload.id ?? "clarion";
  }

  /**
   * A message that came twice. Browsers count pushes that show nothing, so what is on the screen under its tag is shown again
   * without a sound, which nobody sees; what the person has already put away is shown and taken back at once. Firefox would
   * pop it up again, and allows 16 pushes between visits to show nothing.
   *
   * @param {Payload} payload
   * @param {State | undefined} state
   */
  async function showAgain(payload, state) {
    if (FIREFOX) return;
    const { registration } = worker;
    const tag = tagOf(payload);
    const [onScreen] = await registration.getNotifications({ tag });
    await show(onScreen?.data?.clarion ?? payload, state, { quietly: true });
    if (onScreen) return;
    handled.add(payload.id);
    for (const notification of await registration.getNotifications({ tag })) notification.close();
  }

  // --- Taking it back ---

  /** How long it stands after the push: Chromium looks when the event has ended, Firefox three seconds after the push. */
  const COUNTED_MS = FIREFOX ? 4_000 : 1_000;

  /** @param {string} tag @returns {Promise<readonly Notification[]>} what is on the screen under it */
  function standing(tag) {
    return worker.registration.getNotifications({ tag });
  }

  /** Not the person's doing, and no dismissal. @param {readonly Notification[]} notifications */
  function close(notifications) {
    for (const notification of notifications) {
      handled.add(notification.data?.clarion?.id);
      notification.close();
    }
  }

  /**
   * Closes what is shown under the tag. Browsers count pushes after which nothing of the site is on the screen: Chromium
   * shows "This site has been updated in the background" once its allowance is spent, Apple ends the subscription. So where
   * nothing else of the site is there to be seen, what is withdrawn goes a moment later, when that has been looked at.
   *
   * @param {Payload} payload
   * @param {State | undefined} state
   * @param {boolean} again the same withdrawal came twice
   */
  async function withdraw(payload, state, again) {
    const tag = tagOf(payload);
    const [mine, all, pages] = await Promise.all([standing(tag), worker.registration.getNotifications(), windows()]);
    const seen = pages.some((page) => page.visibilityState === "visible");
    const free = !APPLE && (seen || all.length > mine.length);
    const at = Date.now() + COUNTED_MS;
    if (free || (FIREFOX && !mine.length)) close(mine);
    else {
      const title = state?.config?.value.project ?? worker.location.hostname;
      if (!mine.length) await show({ ...payload, title, body: "" }, state, { quietly: true });
      else if (APPLE) await show(mine[0]?.data?.clarion ?? payload, state, { quietly: true });
      const ids = [payload.id, ...mine.map((each) => each.data?.clarion?.id)];
      await update("closing", (kept = []) => [...kept, { tag, ids, at }].slice(-SEEN_LIMIT));
    }
    if (!again) await note(payload, "delivered");
    if (payload.id && !again) await update("seen", (ids = []) => [...ids, payload.id ?? ""].slice(-SEEN_LIMIT));
    if (free) return;
    const later = new Promise((resolve) => setTimeout(resolve, COUNTED_MS)).then(() => closeOverdue(at));
    // Chromium looks when the event has ended, and leaves the worker half a minute after that.
    if (FIREFOX) await Promise.all([later, orLater(flush())]);
  }

  /** Closes what was withdrawn, also what a worker that was stopped before its time has left. @param {number} [until] */
  async function closeOverdue(until = Date.now()) {
    const due = (await read("closing"))?.filter(({ at }) => at <= until) ?? [];
    if (!due.length) return;
    for (const { tag, ids } of due) {
      close((await standing(tag)).filter(({ data }) => ids.includes(data?.clarion?.id)));
    }
    const done = due.map(({ tag, at }) => `${at} ${tag}`);
    await update("closing", (kept = []) => kept.filter(({ tag, at }) => !done.includes(`${at} ${tag}`)));
  }

  // --- What the person does ---

  /** Messages that were clicked or taken back: closing those is no dismissal. @type {Set<string | undefined>} */
  const handled = new Set();

  worker.addEventListener("notificationclick", (event) => {
    /** @type {Payload | undefined} */
    const payload = event.notification.data?.clarion;
    if (!payload) return; // the site's own
    handled.add(payload.id);
    event.notification.close();
    const action = payload.actions?.find(({ id }) => id === event.action);
    const clicked = { ...payload, action: action?.id ?? null };
    const reported = note(payload, "clicked", action?.id).then(() => orLater(flush()));
    event.waitUntil(Promise.allSettled([bring(target(action?.url ?? payload.url), clicked), reported]));
  });

  worker.addEventListener("notificationclose", (event) => {
    const payload = event.notification.data?.clarion;
    if (payload && !handled.has(payload.id)) event.waitUntil(putAway(payload));
  });

  /** Firefox also closes what a newer message of the same tag replaces: no dismissal. @param {Payload} payload */
  async function putAway(payload) {
    await Promise.all(turns.values());
    const [successor] = await worker.registration.getNotifications({ tag: tagOf(payload) });
    if (successor) return;
    await note(payload, "dismissed");
    await orLater(flush());
  }

  /** @param {string | null | undefined} url @returns {URL} the site itself when there is none that a browser should open */
  function target(url) {
    const site = new URL("/", worker.location.origin);
    try {
      const resolved = new URL(url ?? "", site);
      return /^https?:$/.test(resolved.protocol) ? resolved : site;
    } catch {
      return site;
    }
  }

  /**
   * Brings the person to the page: to a window that already shows it, else to a new one. Other open pages stay as they are:
   * what was being written there is not ours to lose. The click allows this for a moment only, so nothing is waited for before.
   *
   * @param {URL} url
   * @param {import("./types.js").Clicked} clicked
   */
  async function bring(url, clicked) {
    const there = (await windows()).find((client) => client.url === url.href);
    if (there) {
      there.postMessage({ clarion: "clicked", event: clicked });
      return there.focus();
    }
    const ours = url.origin === worker.location.origin;
    const left = ours && update("clicked", () => ({ at: Date.now(), event: clicked }));
    await worker.clients.openWindow(url.href);
    await left;
  }

  /** @returns {Promise<readonly WindowClient[]>} every open page of the site, also those that another worker controls */
  function windows() {
    return worker.clients.matchAll({ type: "window", includeUncontrolled: true });
  }

  /** Tells the page that has the focus, else all. @param {import("./types.js").Received} event */
  async function tellReceived(event) {
    const all = await windows();
    const focused = all.filter((client) => client.focused);
    for (const client of focused.length ? focused : all) client.postMessage({ clarion: "received", event });
  }

  // --- Receipts ---

  worker.addEventListener("activate", (event) =>
    event.waitUntil(Promise.all([worker.clients.claim(), closeOverdue(), orLater(flush())])),
  );

  worker.addEventListener("message", (event) => {
    if (event.data?.clarion === "flush") event.waitUntil(Promise.all([closeOverdue(), orLater(flush())]));
  });

  worker.addEventListener("sync", (/** @type {any} */ event) => {
    if (event.tag === SYNC) event.waitUntil(retry());
  });

  /** A failed sync is repeated by the browser, with patience. */
  async function retry() {
    const done = await Promise.all([flush(), renew()]);
    if (done.includes(false)) throw new Error("the Clarion server could not be reached");
  }

  /** By Background Sync, where browsers have it; else at the next push, click or page. @param {Promise<boolean>} work */
  async function orLater(work) {
    const { sync } = /** @type {any} */ (worker.registration);
    if (!(await work)) await sync?.register(SYNC).catch(() => {});
  }

  /** @param {Payload} payload @param {QueuedReceipt["receipt"]["kind"]} kind @param {string} [action] */
  async function note({ receipt, receipts_url: url }, kind, action) {
    if (!receipt || !url) return;
    const entry = { key: crypto.randomUUID(), url, receipt: { receipt, kind, action, at: new Date().toISOString() } };
    await update("receipts", (queue = []) => [...queue, entry].slice(-RECEIPTS_LIMIT));
  }

  /** One sending at a time, each after what was queued before it. @type {Promise<boolean>} */
  let sending = Promise.resolve(true);

  /** Sends what is queued; false when some of it must wait. */
  function flush() {
    sending = sending.then(sendReceipts, sendReceipts);
    return sending;
  }

  async function sendReceipts() {
    const cutoff = new Date(Date.now() - WEEK_MS).toISOString();
    const queue = await update("receipts", (all = []) => all.filter(({ receipt }) => receipt.at > cutoff));
    for (const url of new Set(queue.map((entry) => entry.url))) {
      const due = queue.filter((entry) => entry.url === url);
      for (let start = 0; start < due.length; start += BATCH) {
        if (!(await sendBatch(url, due.slice(start, start + BATCH)))) return false;
      }
    }
    return true;
  }

  /** @param {string} url @param {QueuedReceipt[]} batch @returns {Promise<boolean>} false when it must be tried again */
  async function sendBatch(url, batch) {
    const receipts = batch.map(({ receipt }) => receipt);
    const status = await post(url, { receipts }).then(
      (response) => response.status,
      () => 0,
    );
    const refused = [400, 413, 422].includes(status); // it would be again
    if (!refused && (status < 200 || status >= 300)) return false;
    const done = new Set(batch.map(({ key }) => key));
    await update("receipts", (all = []) => all.filter(({ key }) => !done.has(key)));
    return true;
  }

  /** @param {string} url @param {object} body @param {Record<string, string>} [headers] */
  function post(url, body, headers = {}) {
    return fetch(url, {
      method: "POST",
      headers: { "Content-Type": "application/json", ...headers },
      body: JSON.stringify(body),
      credentials: "omit",
      keepalive: true,
      signal: AbortSignal.timeout(PATIENCE_MS),
    });
  }

  // --- The subscription ---

  worker.addEventListener("pushsubscriptionchange", (event) => {
    const { newSubscription, oldSubscription } = /** @type {PushSubscriptionChangeEvent} */ (event);
    event.waitUntil(orLater(renew(newSubscription, oldSubscription?.endpoint)));
  });

  /**
   * The browser replaced or dropped the subscription: subscribes with the same key and moves the device to the new address.
   * What fails here (offline, an expired user token) is made up for by the next page.
   *
   * @param {PushSubscription | null} [offered] what the browser made by itself
   * @param {string} [previous] the old address
   * @returns {Promise<boolean>} false when the server does not know it yet
   */
  async function renew(offered, previous) {
    const state = await read("state");
    const { registered, config, person } = state ?? {};
    if (!state?.wanted || !registered || !config || !person) return true;
    const vapidKey = config.value.vapid_public_key;
    const { pushManager } = worker.registration;
    const options = { userVisibleOnly: true, applicationServerKey: vapidKey };
    const subscription = offered ?? (await pushManager.getSubscription()) ?? (await pushManager.subscribe(options));
    if (subscription.endpoint === registered.body.address) return true;
    const { p256dh, auth } = subscription.toJSON().keys ?? {};
    const address = { address: subscription.endpoint, p256dh, auth, vapid_public_key: vapidKey };
    /** @type {import("./types.js").DeviceBody} */
    const body = { ...registered.body, ...address, permission: "granted" };
    const user = person.token ?? person.id ?? person.anonymous;
    const headers = { Authorization: `Bearer ${state.key}`, ...(user && { "Clarion-User": user }) };
    const previous_address = previous ?? registered.body.address;
    const moved = await post(`${state.server}/v1/sdk/devices`, { ...body, previous_address }, headers).catch(
      () => null,
    );
    if (!moved?.ok) return false;
    const device = await moved.json();
    const kept = { ...registered, device, body, at: Date.now() }; // its print is of the old one: the next page looks again
    await update("state", (now) => ({ .../** @type {State} */ (now), registered: kept }));
    return true;
  }

  // --- What this browser remembers: the lines of store.js, which a classic script cannot import ---

  /** @type {Map<string, any>} */
  const memory = new Map();
  /** @type {Promise<IDBDatabase> | undefined} */
  let opened;

  function database() {
    opened ??= new Promise((resolve, reject) => {
      const request = indexedDB.open("clarion-sdk", 1);
      request.onupgradeneeded = () => request.result.createObjectStore("kept");
      request.onsuccess = () => {
        const db = request.result;
        db.onclose = () => (opened = undefined);
        db.onversionchange = () => ((opened = undefined), db.close());
        resolve(db);
      };
      request.onerror = () => reject(request.error);
    });
    return opened;
  }

  /** @type {typeof import("./store.js").update} */
  function update(key, change) {
    return database()
      .then((db) => inTransaction(db, key, change))
      .catch(() => memory.set(key, change(memory.get(key))).get(key));
  }

  /** @param {IDBDatabase} db @param {string} key @param {(value: any) => any} change @returns {Promise<any>} */
  function inTransaction(db, key, change) {
    return new Promise((resolve, reject) => {
      const transaction = db.transaction("kept", "readwrite");
      const kept = transaction.objectStore("kept");
      const request = kept.get(key);
      /** @type {unknown} */
      let value;
      request.onsuccess = () => kept.put((value = change(request.result)), key);
      transaction.oncomplete = () => resolve(value);
      transaction.onabort = () => reject(transaction.error);
    });
  }

  /** @template {keyof Kept} K @param {K} key @returns {Promise<Kept[K] | undefined>} */
  function read(key) {
    return database()
      .then(
        (db) =>
          new Promise((resolve, reject) => {
            const request = db.transaction("kept").objectStore("kept").get(key);
            request.onsuccess = () => resolve(request.result);
            request.onerror = () => reject(request.error);
          }),
      )
      .catch(() => memory.get(key));
  }
})();
