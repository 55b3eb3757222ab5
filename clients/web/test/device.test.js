/** What this browser is called, why it cannot receive, and which words it gets. */
import assert from "node:assert/strict";
import { beforeEach, test } from "node:test";
import { hint, model } from "../device.js";
import { textsFor } from "../texts.js";
import { FakeBrowser } from "./fakes.js";

const IPHONE = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_4 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko)";
const MAC =
  "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.5 Safari/605.1.15";
const CHROME = "AppleWebKit/537.36 (KHTML, like Gecko) Chrome/156.0.0.0";

for (const [expected, userAgent] of [
  ["Firefox 153 on Linux", "Mozilla/5.0 (X11; Linux x86_64; rv:153.0) Gecko/20100101 Firefox/153.0"],
  ["Firefox 153 on Android", "Mozilla/5.0 (Android 16; Mobile; rv:153.0) Gecko/153.0 Firefox/153.0"],
  ["Firefox 153 on iOS", `${IPHONE} FxiOS/153.0 Mobile/15E148 Safari/605.1.15`],
  ["Chrome 156 on Windows", `Mozilla/5.0 (Windows NT 10.0; Win64; x64) ${CHROME} Safari/537.36`],
  ["Edge 156 on Windows", `Mozilla/5.0 (Windows NT 10.0; Win64; x64) ${CHROME} Safari/537.36 Edg/156.0.0.0`],
  ["Opera 130 on macOS", `Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) ${CHROME} Safari/537.36 OPR/130.0.0.0`],
  [
    "Samsung Internet 30 on Android",
    `Mozilla/5.0 (Linux; Android 16; K) SamsungBrowser/30.0 ${CHROME} Mobile Safari/537.36`,
  ],
  ["Safari 18 on macOS", MAC],
  ["Safari 18 on iOS", `${IPHONE} Version/18.4 Mobile/15E148 Safari/604.1`],
  ["Browser", "something of its own"],
]) {
  test(`${expected} is recognised`, () => assert.equal(model(userAgent), expected));
}

let browser;
beforeEach(() => {
  browser = new FakeBrowser();
  delete globalThis.PushManager;
});

for (const [expected, name, facts] of [
  ["add_to_home_screen", "an iPhone's browser tab", { userAgent: IPHONE }],
  ["add_to_home_screen", "an iPad, which calls itself a Mac", { userAgent: MAC, maxTouchPoints: 5 }],
  ["not_available", "a Mac without push", { userAgent: MAC }],
  ["not_available", "an old iPhone's Home Screen app", { userAgent: IPHONE, installed: true }],
  ["needs_https", "a page without https", { userAgent: MAC, insecure: true }],
]) {
  test(`${name}: ${expected}`, () => {
    Object.assign(browser.navigator, facts);
    globalThis.isSecureContext = !facts.insecure;
    globalThis.matchMedia = () => ({ matches: facts.installed === true });
    assert.equal(hint(), expected);
  });
}

test("words come in the reader's language, else in English, and the site's own win", () => {
  assert.equal(textsFor("de-AT").no, "Nicht jetzt");
  assert.equal(textsFor("DE").lang, "de");
  assert.deepEqual([textsFor("tlh").no, textsFor("tlh").lang], ["Not now", "en"]);
  assert.deepEqual(textsFor("fr", { no: "Non" }).no, "Non");
  assert.equal(textsFor("fr", { no: "Non" }).yes, "Oui, prévenez-moi");
  assert.equal(textsFor("__proto__").no, "Not now");
});
