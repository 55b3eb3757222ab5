/** This browser as a device: whether it can receive, what it is called, and its push subscription. */
/** @import {DeviceBody, Hint, Permission} from "./types.js" */
import { ClarionError } from "./api.js";

const BROWSERS = /** @type {const} */ ([
  ["Edge", /Edg(?:A|iOS)?\/(\d+)/],
  ["Opera", /OPR\/(\d+)/],
  ["Samsung Internet", /SamsungBrowser\/(\d+)/],
  ["Firefox", /(?:Firefox|FxiOS)\/(\d+)/],
  ["Chrome", /(?:Chrome|CriOS)\/(\d+)/],
  ["Safari", /Version\/(\d+)/],
]);
const SYSTEMS = /** @type {const} */ ([
  ["Android", /Android/],
  ["iOS", /iPhone|iPad|iPod/],
  ["Windows", /Windows/],
  ["macOS", /Mac OS X/],
  ["ChromeOS", /CrOS/],
  ["Linux", /Linux/],
]);

function supported() {
  return "serviceWorker" in navigator && "PushManager" in globalThis && "Notification" in globalThis;
}

/** @returns {Permission} */
export function permission() {
  return supported() ? Notification.permission : "unsupported";
}

/**
 * Why this browser cannot receive; null when it can. Apple's phones and tablets offer push to web apps on the
 * Home Screen only (iOS 16.4), and iPads call themselves Macs, given away by their touch screen.
 *
 * @returns {Hint | null}
 */
export function hint() {
  if (supported()) return null;
  if (!globalThis.isSecureContext) return "needs_https";
  const { userAgent, maxTouchPoints = 0 } = navigator;
  const apple = /iPhone|iPad|iPod/.test(userAgent) || (/Macintosh/.test(userAgent) && maxTouchPoints > 1);
  const installed = globalThis.matchMedia?.("(display-mode: standalone)").matches;
  return apple && !installed ? "add_to_home_screen" : "not_available";
}

/** @param {string} userAgent @returns {string} e.g. "Firefox 153 on Linux" */
export function model(userAgent) {
  const system = SYSTEMS.find(([, pattern]) => pattern.test(userAgent))?.[0];
  const browser = BROWSERS.map(([name, pattern]) => ({ name, match: pattern.exec(userAgent) })).find(
    ({ match }) => match,
  );
  return [browser ? `${browser.name} ${browser.match?.[1]}` : "Browser", system].filter(Boolean).join(" on ");
}

/**
 * This browser's full state, as the server registers it. Without a subscription it is a device without an address, and
 * "granted" then says nothing about us: the site may hold it for other notifications.
 *
 * @param {{installation: string, locale: string | undefined, subscription: PushSubscription | null, vapidKey?: string}} facts
 * @returns {DeviceBody}
 */
export function describe({ installation, locale, subscription, vapidKey }) {
  const refused = permission() === "denied";
  const keys = subscription?.toJSON().keys;
  const { timeZone } = Intl.DateTimeFormat().resolvedOptions();
  return {
    kind: "webpush",
    ...(subscription && {
      address: subscription.endpoint,
      p256dh: keys?.p256dh,
      auth: keys?.auth,
      vapid_public_key: vapidKey,
    }),
    permission: subscription ? "granted" : refused ? "denied" : "default",
    locale: (locale ?? navigator.language) || undefined,
    timezone: timeZone === "Etc/Unknown" ? undefined : timeZone,
    model: model(navigator.userAgent),
    installation,
  };
}

/**
 * The browser's subscription for this key: the one it has, or a new one. A subscription belongs to the key it was made with.
 *
 * @param {string} script the site's worker file
 * @param {string} vapidKey base64url
 * @throws {ClarionError} `push_unavailable`
 */
export async function subscribe(script, vapidKey) {
  try {
    const registration = await navigator.serviceWorker.register(script, { updateViaCache: "none" });
    await activated(registration);
    const { pushManager } = registration;
    const existing = await pushManager.getSubscription();
    if (existing && madeWith(existing, vapidKey)) return existing;
    await existing?.unsubscribe();
    return await pushManager.subscribe({ userVisibleOnly: true, applicationServerKey: vapidKey });
  } catch (cause) {
    const detail = `This browser could not subscribe with ${script}: ${/** @type {Error} */ (cause).message}`;
    throw new ClarionError({ code: "push_unavailable", detail, cause });
  }
}

/** @param {string} script the site's worker file */
export async function unsubscribe(script) {
  const registration = await registered(script);
  const subscription = await registration?.pushManager.getSubscription();
  await subscription?.unsubscribe();
}

/** Our worker's registration, if there is one; the site may have others. @param {string} script lies within its own scope */
export async function registered(script) {
  if (!supported()) return undefined;
  const registration = await navigator.serviceWorker.getRegistration(script);
  const worker = registration?.active ?? registration?.waiting ?? registration?.installing;
  return worker?.scriptURL === new URL(script, document.baseURI).href ? registration : undefined;
}

/**
 * `serviceWorker.ready` would wait for ever on a page outside the worker's scope.
 *
 * @param {ServiceWorkerRegistration} registration
 */
async function activated(registration) {
  const worker = registration.active ?? registration.waiting ?? registration.installing;
  if (!worker || registration.active) return;
  await new Promise((resolve, reject) => {
    worker.addEventListener("statechange", () => {
      if (worker.state === "activated") resolve(undefined);
      if (worker.state === "redundant") reject(new Error("the service worker could not be installed"));
    });
  });
}

/** @param {PushSubscription} subscription @param {string} vapidKey */
function madeWith(subscription, vapidKey) {
  const key = subscription.options.applicationServerKey;
  if (!key) return false;
  const base64 = btoa(String.fromCharCode(...new Uint8Array(key)));
  return base64.replaceAll("+", "-").replaceAll("/", "_").replace(/=+$/, "") === vapidKey.replace(/=+$/, "");
}
