/** The SDK's calls to the server, and the one error that they end in. */

/** @typedef {{field: string, message: string}} FieldError */

/** How long an answer may take before the call counts as failed. */
const PATIENCE_MS = 15_000;

/**
 * What went wrong, in the server's words (its problem document) or in ours:
 * `unreachable` (no answer), `unsupported` (this browser cannot), `push_unavailable` (its push service refused).
 */
export class ClarionError extends Error {
  /** @param {{code: string, detail: string, status?: number, errors?: FieldError[], cause?: unknown}} problem */
  constructor({ code, detail, status = 0, errors = [], cause }) {
    super(detail, { cause });
    this.name = "ClarionError";
    this.code = code;
    this.detail = detail;
    /** The HTTP status; 0 when there was no answer. */
    this.status = status;
    /** The fields at fault, when the server named them. */
    this.errors = errors;
  }

  /** Whether the same call may succeed later. */
  get temporary() {
    return this.code === "unreachable" || this.status === 429 || this.status >= 500;
  }

  /** Whether the server read the content and said no to it: repeating the call cannot help. */
  get refused() {
    return [400, 404, 413, 422].includes(this.status);
  }
}

/** Speaks to one server as one project. */
export class Api {
  #server;
  #key;

  /** @param {string} server @param {string} key */
  constructor(server, key) {
    this.#server = server;
    this.#key = key;
  }

  /**
   * @param {string} method
   * @param {string} path
   * @param {{headers?: Record<string, string>, body?: unknown}} [content]
   * @returns {Promise<any>} the answer's JSON, or null when it has none
   * @throws {ClarionError}
   */
  async call(method, path, { headers = {}, body } = {}) {
    const response = await fetch(this.#server + path, {
      method,
      headers: {
        Authorization: `Bearer ${this.#key}`,
        ...(body === undefined ? {} : { "Content-Type": "application/json" }),
        ...headers,
      },
      body: body === undefined ? undefined : JSON.stringify(body),
      credentials: "omit",
      signal: AbortSignal.timeout(PATIENCE_MS),
    }).catch((cause) => {
      throw new ClarionError({ code: "unreachable", detail: `${this.#server} did not answer.`, cause });
    });
    const answer = await response.json().catch(() => null);
    if (response.ok) return answer;
    throw new ClarionError({
      code: answer?.code ?? `http_${response.status}`,
      detail: answer?.detail ?? answer?.title ?? `${method} ${path} answered ${response.status}.`,
      status: response.status,
      errors: answer?.errors,
    });
  }
}
