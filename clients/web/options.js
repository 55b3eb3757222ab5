/** What a site passes in, checked: a mistake is named where it was made. */
/** @import {Options} from "./types.js" */

const FOREGROUND = ["show", "page", "both"];

/**
 * @param {Options} options
 * @throws {TypeError} that names the option and what would be right
 */
export function checked({
  server,
  key,
  serviceWorker = "/clarion-sw.js",
  foreground = "show",
  askAgainAfterDays = 30,
  locale,
}) {
  if (!/^https?:\/\//.test(server ?? ""))
    throw new TypeError(`server must be the Clarion server's URL, e.g. "https://push.example"`);
  if (!key?.startsWith("pk_")) throw new TypeError(`key must be the project's public key, "pk_…"`);
  if (!FOREGROUND.includes(foreground)) throw new TypeError(`foreground must be "show", "page" or "both"`);
  if (!(askAgainAfterDays >= 0)) throw new TypeError("askAgainAfterDays must be a number of days, 0 or more");
  return { server: server.replace(/\/+$/, ""), key, serviceWorker, foreground, askAgainAfterDays, locale };
}

/**
 * @param {string | null} userId
 * @param {string | undefined} token
 * @throws {TypeError}
 */
export function checkedUser(userId, token) {
  if (userId === null && !token) return;
  if (typeof userId !== "string" || !userId)
    throw new TypeError("identify: the user id must be a string, or null after a logout");
  if (!token && !/^[\x21-\x7e]+$/.test(userId)) {
    throw new TypeError(
      "identify: without a signed token the user id travels in a header, so it may hold visible ASCII only",
    );
  }
}
