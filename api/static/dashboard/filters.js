/** Which videos the gallery shows: kept in the address, so that a view can be sent to somebody. */

import { withUser } from "./server.js";

/** @typedef {import("./types.js").Video} Video */

const STATUSES = ["queued", "in_progress", "completed", "failed", "cancelled"];

/**
 * @typedef {object} Filters
 * @property {string} status "" for all; one of the statuses; or "archived"
 * @property {string} model "" for all
 * @property {string} from a day, YYYY-MM-DD
 * @property {string} to a day, which is included
 * @property {string} q text in the prompt
 */

/** @param {string} [search] the query of an address @returns {Filters} */
export function readFilters(search = location.search) {
  const given = new URLSearchParams(search);
  const status = given.get("status") ?? "";
  return {
    status: status === "archived" || STATUSES.includes(status) ? status : "",
    model: given.get("model") ?? "",
    from: day(given.get("from")),
    to: day(given.get("to")),
    q: given.get("q") ?? "",
  };
}

/**
 * Writes the filters into the address, beside whatever else is there.
 *
 * @param {Filters} filters
 */
export function writeFilters(filters) {
  const url = new URL(location.href);
  for (const [name, value] of Object.entries(filters)) {
    if (value === "") url.searchParams.delete(name);
    else url.searchParams.set(name, value);
  }
  history.replaceState(history.state, "", url);
}

/**
 * @param {Filters} filters
 * @returns {URLSearchParams} the same, as `GET /api/videos` takes it
 */
export function asQuery({ status, model, from, to, q }) {
  const query = withUser(new URLSearchParams());
  if (status === "archived") query.set("archived", "true");
  else if (status !== "") query.set("status", status);
  if (model !== "") query.set("model", model);
  if (from !== "") query.set("created_after", beginning(from).toISOString());
  if (to !== "") query.set("created_before", beginning(to, 1).toISOString());
  if (q.trim() !== "") query.set("q", q.trim());
  return query;
}

/**
 * Whether a list with these filters has that video.
 *
 * @param {Filters} filters
 * @param {Video} video
 */
export function matches({ status, model, from, to, q }, video) {
  const created = new Date(video.created_at);
  return (
    video.status !== "deleted" &&
    (video.archived_at !== null) === (status === "archived") &&
    (status === "" || status === "archived" || video.status === status) &&
    (model === "" || video.model === model) &&
    (from === "" || created > beginning(from)) &&
    (to === "" || created < beginning(to, 1)) &&
    video.prompt.toLowerCase().includes(q.trim().toLowerCase())
  );
}

/** @param {Filters} filters */
export const areSet = (filters) => Object.values(filters).some((value) => value !== "");

/** @param {string | null} text */
function day(text) {
  return text !== null && /^\d{4}-\d\d-\d\d$/.test(text) && !Number.isNaN(Date.parse(text)) ? text : "";
}

/** The beginning of a day where the reader lives. @param {string} text @param {number} [later] days */
function beginning(text, later = 0) {
  const [year, month, date] = text.split("-").map(Number);
  return new Date(year, month - 1, date + later);
}
