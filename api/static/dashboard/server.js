/**
 * The one place that speaks to the server. Every failure is an `ApiError` whose message is fit to
 * be shown: the server's own words wherever it has said any.
 */

const SIGNED_OUT = "signed-out";

/** Tells the page that the session is over: event `signed-out`. */
export const session = new EventTarget();

/** With AUTH=off there are no keys: whoever sits here may be the admin by saying so. */
export const keyless = document.documentElement.dataset.auth === "off";

/** The user whose videos an admin looks at (`?user=…`); null: the videos are one's own. */
export const looked = new URLSearchParams(location.search).get("user");

/** @type {Record<string, string>} */
const AS_ADMIN = keyless ? { "X-User-Id": "admin" } : {};

export class ApiError extends Error {
  /**
   * @param {string} message
   * @param {{status?: number, code?: string, param?: string | null}} [about] status 0: the server
   *   could not be reached, so nobody knows whether it has done what was asked
   */
  constructor(message, { status = 0, code = "unreachable", param = null } = {}) {
    super(message);
    this.status = status;
    this.code = code;
    this.param = param;
  }
}

/**
 * @param {string} method
 * @param {string} path
 * @param {object} [options]
 * @param {object | FormData} [options.body] sent as JSON unless it is a form
 * @param {Record<string, string>} [options.headers]
 * @param {AbortSignal} [options.signal]
 * @param {boolean} [options.keepalive] outlives the page
 * @returns {Promise<any>} what the server answers
 * @throws {ApiError} it refused, or could not be reached
 */
export async function call(method, path, { body, headers = {}, signal, keepalive } = {}) {
  /** @type {Record<string, string>} */
  const all = { Accept: "application/json", "X-Requested-With": "dashboard", ...(looked && AS_ADMIN), ...headers };
  const form = body instanceof FormData;
  if (body !== undefined && !form) all["Content-Type"] = "application/json";
  const sent = body === undefined || form ? body : JSON.stringify(body);
  let response;
  try {
    response = await fetch(path, { method, headers: all, body: sent, signal, keepalive });
  } catch (error) {
    if (signal?.aborted) throw error;
    throw new ApiError("The server does not answer. Is it running, and are you online?");
  }
  const answer = await response.json().catch(() => null);
  if (response.ok) return answer;
  if (response.status === 401) session.dispatchEvent(new Event(SIGNED_OUT));
  throw refusal(response.status, answer);
}

/**
 * @param {string} path
 * @param {{signal?: AbortSignal, headers?: Record<string, string>}} [options]
 * @returns {Promise<any>}
 */
export const get = (path, options) => call("GET", path, options);

/**
 * Requests with the rights of an admin.
 *
 * @param {string} method
 * @param {string} path
 * @param {object} [body]
 * @returns {Promise<any>}
 */
export function asAdmin(method, path, body) {
  return call(method, path, { body, headers: AS_ADMIN });
}

/**
 * Adds to a query whose videos are meant.
 *
 * @param {URLSearchParams} query
 */
export function withUser(query) {
  if (looked !== null) query.set("user_id", looked);
  return query;
}

/**
 * Gives an element its file. Without keys a browser asks for files as whoever sits here, so those
 * that an admin looks at are fetched for it.
 *
 * @param {HTMLImageElement | HTMLVideoElement} element
 * @param {string} url
 */
export async function showFile(element, url) {
  if (!keyless || looked === null) {
    element.src = url;
    return;
  }
  try {
    const answer = await fetch(url, { headers: AS_ADMIN });
    element.src = URL.createObjectURL(await answer.blob());
  } catch {
    element.dispatchEvent(new Event("error"));
  }
}

/**
 * A new key for one submission. `crypto.randomUUID` is missing where the page came without TLS.
 *
 * @returns {Record<string, string>} the header
 */
export function freshKey() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  const hex = Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
  return { "Idempotency-Key": `dashboard-${hex}` };
}

/**
 * @param {string} id
 * @param {string} [rest] what follows, such as "/cancel"
 */
export const videoPath = (id, rest = "") => `/api/videos/${encodeURIComponent(id)}${rest}`;

/**
 * @param {number} status
 * @param {any} answer a problem document, if it is one of ours
 */
function refusal(status, answer) {
  const told = answer?.error;
  const message = told?.message ?? `The server answers with status ${status}.`;
  return new ApiError(message, { status, code: told?.code ?? "unknown", param: told?.param });
}
