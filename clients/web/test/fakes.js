/** The browser as far as the SDK sees it, without a browser: small fakes that keep what they were told. */
import { readFileSync } from "node:fs";
import vm from "node:vm";

const SCRIPT = readFileSync(new URL("../clarion-sw.js", import.meta.url), "utf8");
export const ORIGIN = "https://shop.example";
export const SERVER = "https://push.example";
export const CHROME =
  "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/156.0.0.0 Safari/537.36";
export const FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:153.0) Gecko/20100101 Firefox/153.0";
export const SAFARI =
  "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Safari/605.1.15";
export const VAPID_KEY = Buffer.from("k".repeat(65)).toString("base64url");

/** Plain data of this realm, for comparisons: what comes out of a vm context has other prototypes. */
export const plain = (value) => (value === undefined ? undefined : JSON.parse(JSON.stringify(value)));

/** Lets everything that is under way finish: storage, promises, messages. */
export async function settle() {
  for (let turn = 0; turn < 60; turn++) await new Promise(setImmediate);
}

/** IndexedDB with one store: values are cloned, transactions run one after the other. */
export class FakeIndexedDB {
  values = new Map();
  broken = false;

  open() {
    const request = {};
    setImmediate(() => {
      if (this.broken) {
        request.error = new Error("storage is off");
        return request.onerror?.({});
      }
      request.result = { createObjectStore() {}, transaction: () => this.#transaction() };
      request.onupgradeneeded?.({});
      request.onsuccess?.({});
    });
    return request;
  }

  #last = Promise.resolve();

  #transaction() {
    const steps = [];
    const transaction = {
      objectStore: () => ({ get: (key) => later("get", key), put: (value, key) => later("put", key, value) }),
    };
    const later = (kind, key, value) => {
      const request = {};
      steps.push(() => {
        if (kind === "put") this.values.set(key, structuredClone(plain(value)));
        else request.result = structuredClone(this.values.get(key));
        request.onsuccess?.({});
      });
      return request;
    };
    this.#last = this.#last.then(async () => {
      await new Promise(setImmediate);
      while (steps.length) steps.shift()();
      transaction.oncomplete?.({});
    });
    return transaction;
  }
}

/** A server that answers by a table of routes and keeps the calls. */
export class FakeServer {
  calls = [];
  online = true;
  /** @type {Record<string, (call: any) => any>} "METHOD /path" → [status, body], or just a body */
  routes = {};

  fetch = async (url, init = {}) => {
    const { pathname, origin } = new URL(url);
    const call = {
      method: init.method ?? "GET",
      path: pathname,
      origin,
      headers: init.headers ?? {},
      body: init.body && JSON.parse(init.body),
    };
    if (!this.online) throw new TypeError("NetworkError when attempting to fetch resource.");
    this.calls.push(plain(call));
    const answer = (await this.routes[`${call.method} ${pathname}`]?.(call)) ?? [
      404,
      { code: "not_found", detail: "no such route" },
    ];
    const [status, body] = Array.isArray(answer) ? answer : [200, answer];
    return new Response(body === null ? null : JSON.stringify(body), { status });
  };

  to(path) {
    return this.calls.filter((call) => call.path === path);
  }
}

export class FakeSubscription {
  constructor(endpoint, key, manager) {
    this.endpoint = endpoint;
    this.options = { applicationServerKey: Uint8Array.from(Buffer.from(key, "base64url")).buffer };
    this.manager = manager;
  }
  toJSON() {
    return {
      endpoint: this.endpoint,
      keys: { p256dh: `p256dh of ${this.endpoint}`, auth: `auth of ${this.endpoint}` },
    };
  }
  async unsubscribe() {
    this.manager.subscription = null;
    return true;
  }
}

export class FakePushManager {
  subscription = null;
  made = 0;
  refuse = null;
  async getSubscription() {
    return this.subscription;
  }
  async subscribe({ userVisibleOnly, applicationServerKey }) {
    if (this.refuse) throw this.refuse;
    if (!userVisibleOnly) throw new Error("userVisibleOnly is demanded by browsers");
    this.made += 1;
    this.subscription = new FakeSubscription(`https://push.service/${this.made}`, applicationServerKey, this);
    return this.subscription;
  }
}

/** A window of the site as the worker sees it; `awake` ones answer an offered message. */
export class FakeWindow {
  constructor(url, { focused = false, awake = false, controlled = true } = {}) {
    Object.assign(this, { url, focused, awake, controlled, messages: [] });
  }
  postMessage(message, [port] = []) {
    this.messages.push(plain(message));
    if (this.awake) port?.postMessage("taken");
  }
  async focus() {
    this.focused = true;
    return this;
  }
}

/** The service worker, loaded as a classic script into a world of its own. */
export class FakeWorker {
  indexedDB = new FakeIndexedDB();
  server = new FakeServer();
  pushManager = new FakePushManager();
  windows = [];
  opened = [];
  /** Everything ever shown, in order. */
  shown = [];
  /** What is on the screen, by tag. */
  screen = new Map();
  syncs = [];
  /** What waits for time to pass. */
  timers = [];
  claimed = false;
  refuseShow = () => null;
  onReplaced = () => {};
  #handlers = {};

  constructor({ userAgent = CHROME, state } = {}) {
    if (state) this.indexedDB.values.set("state", state);
    const registration = {
      scope: `${ORIGIN}/`,
      pushManager: this.pushManager,
      sync: { register: async (tag) => void this.syncs.push(tag) },
      showNotification: async (title, options) => this.#show(title, options),
      getNotifications: async ({ tag } = {}) =>
        [...this.screen.values()].filter((notification) => tag === undefined || notification.tag === tag),
    };
    const clients = {
      matchAll: async ({ includeUncontrolled = false }) =>
        this.windows.filter((client) => includeUncontrolled || client.controlled),
      openWindow: async (url) => void this.opened.push(url),
      claim: async () => void (this.claimed = true),
    };
    const scope = {
      registration,
      clients,
      navigator: { userAgent },
      location: new URL(`${ORIGIN}/clarion-sw.js`),
      indexedDB: this.indexedDB,
      fetch: this.server.fetch,
      addEventListener: (type, handler) => (this.#handlers[type] ??= []).push(handler),
      ...{ AbortSignal, Date, MessageChannel, URL, crypto, structuredClone },
      setTimeout: (fn, _ms, ...args) => this.timers.push(() => fn(...args)),
    };
    scope.self = scope;
    const before = new Set(Object.keys(scope));
    vm.runInContext(SCRIPT, vm.createContext(scope), { filename: "clarion-sw.js" });
    this.leaked = Object.keys(scope).filter((name) => !before.has(name));
  }

  async #show(title, options) {
    const error = this.refuseShow(options);
    if (error) throw error;
    const entry = plain({ title, ...options });
    this.shown.push(entry);
    const old = this.screen.get(entry.tag);
    if (old) {
      this.screen.delete(entry.tag);
      this.onReplaced(old);
      await settle(); // the old one is gone before the new one is listed
    }
    this.screen.set(entry.tag, { ...entry, close: () => this.screen.delete(entry.tag) });
  }

  /** Resolves when all that the event waits for is done. */
  async dispatch(type, fields = {}) {
    const waits = [];
    const event = { ...fields, waitUntil: (promise) => waits.push(promise) };
    for (const handler of this.#handlers[type] ?? []) handler(event);
    await Promise.all(waits);
  }

  push(payload) {
    const text = typeof payload === "string" ? payload : JSON.stringify(payload);
    return this.dispatch("push", {
      data: payload === null ? null : { json: () => JSON.parse(text), text: () => text },
    });
  }

  click(tag, action = "") {
    return this.dispatch("notificationclick", { notification: this.screen.get(tag), action });
  }

  /** The person, or the browser, closes what is on the screen. */
  async close(notification) {
    if (this.screen.get(notification.tag) === notification) this.screen.delete(notification.tag);
    await this.dispatch("notificationclose", { notification });
  }

  kept(key) {
    return this.indexedDB.values.get(key);
  }
}

/** The page's world: a browser profile with one site open. Its parts become this process's globals. */
export class FakeBrowser {
  indexedDB = new FakeIndexedDB();
  server = new FakeServer();
  pushManager = new FakePushManager();
  permission = "default";
  /** What the person answers when the browser asks. */
  answer = "granted";
  asked = 0;
  registrations = [];
  workerScript = "/clarion-sw.js";
  posted = [];
  #listeners = [];

  constructor() {
    const browser = this;
    class Notification {
      static get permission() {
        return browser.permission;
      }
      static async requestPermission() {
        browser.asked += 1;
        return (browser.permission = browser.answer);
      }
    }
    const registration = {
      pushManager: this.pushManager,
      active: {
        get scriptURL() {
          return ORIGIN + browser.workerScript;
        },
        postMessage: (message) => browser.posted.push(message),
      },
    };
    const serviceWorker = {
      register: async (script, options) => (this.registrations.push([script, options]), registration),
      getRegistration: async () => (this.registrations.length ? registration : undefined),
      addEventListener: (_type, listener) => this.#listeners.push(listener),
      startMessages() {},
    };
    this.navigator = {
      ...{ language: "de-AT", maxTouchPoints: 0, serviceWorker },
      userAgent: FIREFOX,
    };
    const globals = {
      ...{
        Notification,
        PushManager: FakePushManager,
        indexedDB: this.indexedDB,
        navigator: this.navigator,
        isSecureContext: true,
      },
      ...{ fetch: this.server.fetch, document: { baseURI: `${ORIGIN}/` }, addEventListener() {} },
    };
    for (const [name, value] of Object.entries(globals)) {
      Object.defineProperty(globalThis, name, { value, configurable: true, writable: true });
    }
  }

  /** A message from the worker; resolves to whether the page took it. */
  async message(data) {
    const taken = [];
    for (const listener of this.#listeners) listener({ data, ports: [{ postMessage: (word) => taken.push(word) }] });
    await settle();
    return taken.length > 0;
  }

  /** A new page of the same profile: what listened is gone. */
  leave() {
    this.#listeners = [];
  }
}
