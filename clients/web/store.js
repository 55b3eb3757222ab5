/** What this browser remembers between pages: a few values by key in IndexedDB, shared with the service worker. */
/** @import {Kept} from "./types.js" */

/** Stands in where the browser refuses storage: all works, and is forgotten with the page. @type {Map<string, any>} */
const memory = new Map();

/** @type {Promise<IDBDatabase> | undefined} */
let opened;

/** The worker has the same lines: a classic script cannot import this module. */
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

/**
 * Reads a value, changes it and writes it back in one transaction, so that no other tab or worker comes between.
 *
 * @template {keyof Kept} K
 * @param {K} key
 * @param {(value: Kept[K] | undefined) => Kept[K]} change must not wait: the transaction would end
 * @returns {Promise<Kept[K]>} the new value
 */
export function update(key, change) {
  return database()
    .then((db) => inTransaction(db, key, change))
    .catch(() => memory.set(key, change(memory.get(key))).get(key));
}

/**
 * @template {keyof Kept} K
 * @param {IDBDatabase} db
 * @param {K} key
 * @param {(value: Kept[K] | undefined) => Kept[K]} change
 * @returns {Promise<Kept[K]>}
 */
function inTransaction(db, key, change) {
  return new Promise((resolve, reject) => {
    const transaction = db.transaction("kept", "readwrite");
    const kept = transaction.objectStore("kept");
    const request = kept.get(key);
    /** @type {Kept[K]} */
    let value;
    request.onsuccess = () => kept.put((value = change(request.result)), key);
    transaction.oncomplete = () => resolve(value);
    transaction.onabort = () => reject(transaction.error);
  });
}
