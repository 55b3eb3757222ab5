/** Behaviour events on their way to the server: kept first, then sent, so that being offline loses none. */
/** @import {QueuedEvent} from "./types.js" */
import { ClarionError } from "./api.js";
import { update } from "./store.js";

const BATCH = 100;
const LIMIT = 1_000;
const WEEK_MS = 7 * 24 * 3_600_000;

/** One sending at a time, each after what was queued before it. @type {Promise<unknown>} */
let sending = Promise.resolve();

/** @param {QueuedEvent} entry */
export function enqueue(entry) {
  return update("events", (queue = []) => [...queue, entry].slice(-LIMIT));
}

/**
 * Sends what waits for this person: their own events, and those tracked before anyone was known.
 *
 * @param {string | null} person
 * @param {(events: QueuedEvent["event"][]) => Promise<{errors?: {index: number, code: string, message: string, field?: string}[]}>} post
 * @returns {Promise<Map<string, ClarionError>>} events that the server refused, by id
 * @throws {ClarionError} when the server could not be asked; the events stay
 */
export function flush(person, post) {
  const run = sending.catch(() => {}).then(() => sendAll(person, post));
  sending = run;
  return run;
}

/** @type {typeof flush} */
async function sendAll(person, post) {
  const cutoff = new Date(Date.now() - WEEK_MS).toISOString();
  const queue = await update("events", (all = []) => all.filter(({ event }) => event.occurred_at > cutoff));
  const due = queue.filter((entry) => entry.person === null || entry.person === person).map(({ event }) => event);
  const refused = new Map();
  for (let start = 0; start < due.length; start += BATCH) {
    const batch = due.slice(start, start + BATCH);
    for (const [id, error] of await sendBatch(batch, post)) refused.set(id, error);
    const done = new Set(batch.map(({ id }) => id));
    await update("events", (all = []) => all.filter(({ event }) => !done.has(event.id)));
  }
  return refused;
}

/**
 * @param {QueuedEvent["event"][]} batch
 * @param {Parameters<typeof flush>[1]} post
 * @returns {Promise<[string, ClarionError][]>}
 */
async function sendBatch(batch, post) {
  try {
    const { errors = [] } = (await post(batch)) ?? {};
    return errors.map(({ index, code, message, field = "events" }) => {
      const problem = { code, detail: message, status: 202, errors: [{ field, message }] };
      return [batch[index].id, new ClarionError(problem)];
    });
  } catch (error) {
    if (!(error instanceof ClarionError && error.refused)) throw error;
    return batch.map(({ id }) => [id, error]);
  }
}
