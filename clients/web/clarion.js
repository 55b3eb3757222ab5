/**
 * The web SDK: asks for permission well, registers this browser with a Clarion server, and tells the open page what arrived.
 * Start reading at `enable`.
 */
/** @import {Choice, Clicked, Device, DeviceBody, Events, Options, Person} from "./types.js" */
/** @import {Preference, ProjectConfig, State, Topic} from "./types.js" */
import { Api, ClarionError } from "./api.js";
import * as browser from "./device.js";
import * as events from "./events.js";
import { checked, checkedUser } from "./options.js";
import { softPrompt } from "./prompt.js";
import { update } from "./store.js";
import { textsFor } from "./texts.js";

export { ClarionError };

const DAY_MS = 24 * 3_600_000;
/** A click older than this no longer explains why a page was opened. */
const CLICK_MS = 60_000;
const WHY_NOT = {
  add_to_home_screen:
    "On iPhone and iPad, notifications need this site on the Home Screen: Share, then Add to Home Screen.",
  needs_https: "Notifications need a page served over https.",
  not_available: "This browser does not offer push notifications.",
};

export class Clarion {
  #options;
  #texts;
  #api;
  #ask;
  #loaded;
  /** @type {State | undefined} */
  #state;
  /** Registrations happen one after the other. @type {Promise<unknown>} */
  #last = Promise.resolve();
  /** @type {Promise<Device | null> | undefined} */
  #enabling;
  /** @type {{[E in keyof Events]: Set<(event: Events[E]) => void>}} */
  #listeners = { received: new Set(), clicked: new Set() };

  /**
   * Settles when what this browser already knew has been checked against the server: with the device, or null when
   * nothing can be received here. It never rejects: what failed is tried again on the next page.
   *
   * @type {Promise<Device | null>}
   */
  ready;

  /**
   * @param {Options} options
   * @param {{ask?: typeof softPrompt}} [parts] a prompt in place of ours, with the same contract
   */
  constructor(options, { ask = softPrompt } = {}) {
    this.#options = checked(options);
    this.#texts = textsFor(options.locale ?? navigator.language, options.texts);
    this.#api = new Api(this.#options.server, this.#options.key);
    this.#ask = ask;
    this.#listen();
    this.#loaded = this.#load();
    this.ready = this.#loaded.then(() => this.#resume()).catch(warn);
  }

  /** What the browser answered so far. */
  get permission() {
    return browser.permission();
  }

  /** Why `permission` is "unsupported": "add_to_home_screen", "needs_https", "not_available"; null when it is supported. */
  get hint() {
    return browser.hint();
  }

  /**
   * Says who uses this browser: after a login, and on every page with a fresh token. An anonymous device is merged into this
   * user. `identify(null)` after a logout makes the device anonymous again.
   *
   * @param {string | null} userId
   * @param {{token?: string}} [proof] the signed user token from the site's own server
   * @throws {ClarionError} when the server refuses this user; being offline is no error, it is made up for later
   */
  async identify(userId, { token } = {}) {
    checkedUser(userId, token);
    await this.#inTurn(async () => {
      const { person } = this.#known();
      await this.#save({ person: { ...person, id: userId, token: token ?? null } });
      await this.#verify().catch(later);
    });
  }

  /**
   * Asks for permission and registers this browser. Call it in a click handler.
   *
   * With `prompt` (the default) the soft prompt comes first; a person who declines is not asked again for `askAgainAfterDays`,
   * by neither prompt. Nobody who said yes before is asked twice.
   *
   * @param {{prompt?: boolean, askAgainAfterDays?: number}} [how]
   * @returns {Promise<Device | null>} the device; null when the person or the browser said no: then `permission` tells who,
   *   "denied" being the browser, which only the person can change in its settings
   * @throws {ClarionError} `unsupported`, `push_unavailable`, `unreachable`, or what the server refused
   */
  enable(how = {}) {
    this.#enabling ??= this.#enable(how).finally(() => (this.#enabling = undefined));
    return this.#enabling;
  }

  /** @param {{prompt?: boolean, askAgainAfterDays?: number}} how */
  async #enable({ prompt = true, askAgainAfterDays = this.#options.askAgainAfterDays }) {
    const why = this.hint;
    if (why) throw new ClarionError({ code: "unsupported", detail: WHY_NOT[why] });
    if (!this.#state) await this.#loaded; // only then: Safari takes a click as spent after the first wait
    const { wanted, declined } = this.#known();
    const settled = this.permission === "denied" || (this.permission === "granted" && wanted);
    if (!settled) {
      if (declined !== null && Date.now() - declined < askAgainAfterDays * DAY_MS) return null;
      const permission = await (prompt ? this.#askSoftly() : Notification.requestPermission());
      if (permission === null || permission === "default") {
        await this.#save({ declined: Date.now(), choices: null });
        return null;
      }
    }
    await this.#save({ wanted: true, declined: null });
    return this.#inTurn(() => this.#verify({ create: true }));
  }

  /** @returns {Promise<NotificationPermission | null>} null when the person said no to us */
  async #askSoftly() {
    const { project, categories } = await this.#config({ fresh: true });
    const confirm = () => Notification.requestPermission();
    const pushed = categories.filter(({ channels }) => channels.includes("push"));
    const answer = await this.#ask({ site: project, categories: pushed, texts: this.#texts, confirm });
    if (!answer) return null;
    const preferences = answer.choices.map((choice) => ({ ...choice, channel: "push" }));
    await this.#save({ choices: { preferences, source: "sdk_prompt", wording: answer.wording } });
    return answer.permission;
  }

  /** Unsubscribes this browser and deletes its device. The user and the preferences stay. */
  async disable() {
    await this.#inTurn(async () => {
      const { registered } = this.#known();
      await this.#save({ wanted: false, registered: null, choices: null });
      await browser.unsubscribe(this.#options.serviceWorker);
      if (!registered) return;
      const path = `/v1/sdk/devices/${encodeURIComponent(registered.device.id)}`;
      // When this fails, the server learns it at the next push: the subscription is gone.
      await this.#api.call("DELETE", path, { headers: this.#caller() }).catch(warn);
    });
  }

  /** @returns {Promise<Preference[]>} what is on for this user, or for a visitor who has not said anything yet */
  async preferences() {
    const read = () => this.#api.call("GET", "/v1/sdk/preferences", { headers: this.#caller() });
    return (await this.#inTurn(read)).categories;
  }

  /**
   * @param {string} category
   * @param {string} channel "push", "email", "sms", …
   * @param {boolean} granted
   */
  async setPreference(category, channel, granted) {
    await this.#inTurn(() => this.#introduce());
    await this.#putPreferences({ preferences: [{ category, channel, granted }], source: "sdk" });
  }

  /** @returns {Promise<Topic[]>} the open topics, and which of them this user is subscribed to */
  async topics() {
    const read = () => this.#api.call("GET", "/v1/sdk/topics", { headers: this.#caller() });
    return (await this.#inTurn(read)).items;
  }

  /** @param {string} topic an open one, such as "sport/football" */
  async subscribe(topic) {
    await this.#setTopic(topic, true);
  }

  /** @param {string} topic */
  async unsubscribe(topic) {
    await this.#setTopic(topic, false);
  }

  /**
   * Reports what the user did. Resolves when the server has it, or when it is safely kept until the server can be reached.
   *
   * @param {string} name
   * @param {Record<string, unknown>} [properties]
   * @throws {ClarionError} when the server refuses this event
   */
  async track(name, properties = {}) {
    await this.#loaded;
    const event = { id: crypto.randomUUID(), name, properties, occurred_at: new Date().toISOString() };
    await events.enqueue({ person: this.#known().person.id, event });
    const refused = (await this.#sendEvents().catch(later))?.get(event.id);
    if (refused) throw refused;
  }

  /**
   * @template {keyof Events} E
   * @param {E} name "received" or "clicked"
   * @param {(event: Events[E]) => void} listener
   * @returns {() => void} takes the listener off again
   */
  on(name, listener) {
    const listeners = this.#listeners[name];
    if (!listeners) throw new TypeError(`on("${name}") is unknown: use "received" or "clicked"`);
    listeners.add(listener);
    return () => void listeners.delete(listener);
  }

  // --- What this browser remembers ---

  async #load() {
    const { server, key, foreground } = this.#options;
    this.#state = await update("state", (kept) => ({
      installation: crypto.randomUUID(),
      person: { id: null, token: null, anonymous: null },
      wanted: false,
      declined: null,
      registered: null,
      choices: null,
      ...kept,
      config: kept?.server === server && kept.key === key ? kept.config : null,
      ...{ server, key, foreground, generic: this.#texts.generic },
    }));
  }

  /** @param {Partial<State>} changes */
  async #save(changes) {
    this.#state = await update("state", (kept) => ({ .../** @type {State} */ (kept ?? this.#state), ...changes }));
  }

  #known() {
    return /** @type {State} */ (this.#state);
  }

  /** One thing after the other, knowing what other tabs and the worker wrote. @template T @param {() => Promise<T>} work */
  #inTurn(work) {
    const run = this.#last.then(async () => {
      await this.#loaded;
      await this.#save({});
      return work();
    });
    this.#last = run.catch(() => {});
    return run;
  }

  // --- Registration ---

  /** On each page: is what the server knows still true? */
  async #resume() {
    navigator.permissions?.query({ name: "notifications" }).then(
      (status) => {
        status.onchange = () => this.#inTurn(() => this.#verify()).catch(warn);
      },
      () => {},
    );
    addEventListener("online", () => this.#sendEvents().catch(warn));
    await this.#tellOpeningClick();
    const device = await this.#inTurn(() => this.#verify()).catch(warn);
    const worker = (await browser.registered(this.#options.serviceWorker))?.active;
    worker?.postMessage({ clarion: "flush" });
    await this.#sendEvents().catch(warn);
    return device;
  }

  /**
   * Makes the subscription and the server's device agree with the permission, the person, the key, locale and time zone, and
   * repeats the registration once a day. Does nothing for a browser that the server need not know, unless told to `create`.
   *
   * @returns {Promise<Device | null>} null unless it can receive
   */
  async #verify({ create = false } = {}) {
    const { installation, person, registered, wanted } = this.#known();
    const merging = person.id !== null && person.anonymous !== null;
    if (!create && !wanted && !registered && !merging) return null;
    const config = wanted && this.permission === "granted" ? await this.#config() : null;
    const subscription = config && (await browser.subscribe(this.#options.serviceWorker, config.vapid_public_key));
    const { locale } = this.#options;
    const body = browser.describe({ installation, locale, subscription, vapidKey: config?.vapid_public_key });
    const print = JSON.stringify([this.#options.server, this.#options.key, person.id, body]);
    const fresh = registered?.print === print && Date.now() - registered.at < DAY_MS;
    if (create || !fresh) await this.#register(body, print);
    await this.#sendChoices();
    const now = this.#known().registered;
    return now?.body.address ? now.device : null;
  }

  /** @param {DeviceBody} body @param {string} print */
  async #register(body, print) {
    const { person, registered } = this.#known();
    const previous = registered?.body.address;
    const moved = body.address && previous && previous !== body.address;
    const answer = await this.#postDevice(moved ? { ...body, previous_address: previous } : body);
    const { user_token: anonymous, ...device } = answer;
    const secret = person.id === null ? (anonymous ?? this.#known().person.anonymous) : null;
    await this.#save({ registered: { device, body, at: Date.now(), print }, person: { ...person, anonymous: secret } });
  }

  /**
   * A server that has forgotten the anonymous user refuses its secret: then it goes without.
   *
   * @param {DeviceBody} body
   * @returns {Promise<Device & {user_token?: string}>}
   */
  #postDevice(body) {
    const { id, anonymous } = this.#known().person;
    const post = (/** @type {Record<string, string>} */ headers) =>
      this.#api.call("POST", "/v1/sdk/devices", { headers, body });
    if (!anonymous) return post(this.#caller());
    const without = id === null ? {} : this.#caller();
    return post({ ...without, [id === null ? "Clarion-User" : "Clarion-Anonymous"]: anonymous }).catch((error) => {
      if (error.status !== 401) throw error;
      return post(without);
    });
  }

  /** Calls about a user need one: registering this browser, with or without an address, makes a visitor an anonymous user. */
  async #introduce() {
    if (!credential(this.#known().person)) await this.#verify({ create: true });
  }

  /** @returns {Record<string, string>} */
  #caller() {
    const user = credential(this.#known().person);
    return user ? { "Clarion-User": user } : {};
  }

  async #sendChoices() {
    const { choices } = this.#known();
    if (!choices) return;
    try {
      if (choices.preferences.length) await this.#putPreferences(choices);
    } catch (error) {
      if (!(error instanceof ClarionError && error.refused)) throw error;
      warn(error);
    }
    await this.#save({ choices: null });
  }

  /** @param {{preferences: Choice[], source: string, wording?: string}} body */
  async #putPreferences(body) {
    await this.#api.call("PUT", "/v1/sdk/preferences", { headers: this.#caller(), body });
  }

  /**
   * @param {string} topic
   * @param {boolean} subscribed
   */
  async #setTopic(topic, subscribed) {
    await this.#inTurn(() => this.#introduce());
    await this.#api.call("PUT", "/v1/sdk/topics", { headers: this.#caller(), body: { topic, subscribed } });
  }

  /** The project's settings, at most a day old. @returns {Promise<ProjectConfig>} */
  async #config({ fresh = false } = {}) {
    const kept = this.#known().config;
    if (kept && !fresh && Date.now() - kept.at < DAY_MS) return kept.value;
    /** @type {ProjectConfig} */
    const value = await this.#api.call("GET", "/v1/sdk/config");
    await this.#save({ config: { at: Date.now(), value } });
    return value;
  }

  // --- Events in both directions ---

  async #sendEvents() {
    return events.flush(this.#known().person.id, async (batch) => {
      await this.#inTurn(() => this.#introduce());
      return this.#api.call("POST", "/v1/sdk/events", { headers: this.#caller(), body: { events: batch } });
    });
  }

  #listen() {
    if (this.permission === "unsupported") return;
    navigator.serviceWorker.addEventListener("message", ({ data, ports }) => {
      if (data?.clarion !== "received" && data?.clarion !== "clicked") return;
      if (this.#emit(data.clarion, data.event)) ports[0]?.postMessage("taken");
    });
    navigator.serviceWorker.startMessages();
  }

  /**
   * @template {keyof Events} E
   * @param {E} name
   * @param {Events[E]} event
   * @returns {boolean} whether anyone listens
   */
  #emit(name, event) {
    const listeners = [...this.#listeners[name]];
    for (const listener of listeners) queueMicrotask(() => listener(event)); // one that throws keeps nothing from the others
    return listeners.length > 0;
  }

  /** A click that opened this page came before it could listen: the worker left it here. */
  async #tellOpeningClick() {
    /** @type {Clicked | null} */
    let event = null;
    await update("clicked", (kept) => {
      if (kept && Date.now() - kept.at < CLICK_MS) event = kept.event;
      return null;
    });
    if (event) this.#emit("clicked", event);
  }
}

/** @param {Person} person @returns {string | null} what `Clarion-User` carries */
function credential({ token, id, anonymous }) {
  return token ?? id ?? anonymous;
}

/** Lets pass what will be made up for later. @param {unknown} error @returns {null} */
function later(error) {
  if (error instanceof ClarionError && error.temporary) return null;
  throw error;
}

/** @param {unknown} error @returns {null} */
function warn(error) {
  console.warn("Clarion:", error);
  return null;
}
