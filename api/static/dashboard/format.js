/** Numbers, times and statuses as people read them. */

import { h } from "./dom.js";

const MONEY = new Intl.NumberFormat("en", { style: "currency", currency: "USD" });
const NUMBER = new Intl.NumberFormat("en");
const RELATIVE = new Intl.RelativeTimeFormat("en", { numeric: "auto", style: "short" });
const MOMENT = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });
const DAY = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "long" });
/** @type {[Intl.RelativeTimeFormatUnit, number][]} */
const UNITS = [["day", 86400], ["hour", 3600], ["minute", 60], ["second", 1]];

/** @type {Record<string, string>} */
const STATUS_NAMES = {
  queued: "Queued",
  in_progress: "In progress",
  completed: "Completed",
  failed: "Failed",
  cancelled: "Cancelled",
  deleted: "Deleted",
};

/** @type {Record<string, string>} */
const HOLDS = {
  outcome_unknown: "The provider may have taken it and cannot tell.",
  ambiguous: "The provider shows too little to tell whether it took this video.",
  account_gone: "Its account at the provider is no longer configured.",
  adopting: "An operator has named the provider's video; it is being looked at.",
  adopt_failed: "The video that an operator named is not there.",
};

/** @param {number | null} amount */
export const money = (amount) => (amount === null ? "–" : MONEY.format(amount));

/** @param {number} value */
export const count = (value) => NUMBER.format(value);

/** @param {string} size WIDTHxHEIGHT */
export const dimensions = (size) => size.replace("x", " × ");

/** @param {number | null} value */
export function bytes(value) {
  if (value === null) return "–";
  return value < 1e6 ? `${Math.ceil(value / 1e3)} kB` : `${(value / 1e6).toFixed(1)} MB`;
}

/** @param {number} seconds a span */
export function span(seconds) {
  if (seconds < 60) return `${seconds < 10 ? seconds.toFixed(1) : Math.round(seconds)} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${Math.round(seconds % 60)} s`;
  return `${Math.floor(seconds / 3600)} h ${Math.round((seconds % 3600) / 60)} min`;
}

/** @param {string} from @param {string} to RFC 3339 */
export const between = (from, to) => span((Date.parse(to) - Date.parse(from)) / 1000);

/** @param {string} time RFC 3339 */
export const moment = (time) => MOMENT.format(new Date(time));

/** @param {string} time RFC 3339 */
export const day = (time) => DAY.format(new Date(time));

/** @param {string} time RFC 3339 */
export function ago(time) {
  const seconds = (Date.parse(time) - Date.now()) / 1000;
  for (const [unit, length] of UNITS) {
    if (Math.abs(seconds) >= length) return RELATIVE.format(Math.trunc(seconds / length), unit);
  }
  return "now";
}

/**
 * A time that keeps itself up to date (see `keepTimes`).
 *
 * @param {string} time RFC 3339
 */
export function timeAgo(time) {
  return h("time", { datetime: time, title: moment(time), "data-ago": true }, ago(time));
}

/** Renews every relative time on the page, now and then. */
export function keepTimes() {
  setInterval(() => {
    for (const element of document.querySelectorAll("time[data-ago]")) {
      element.textContent = ago(/** @type {HTMLTimeElement} */ (element).dateTime);
    }
  }, 20_000);
}

/**
 * What a video is doing, in a word or two.
 *
 * @param {import("./types.js").Video} video
 */
export function statusName(video) {
  if (video.hold_reason !== null) return "Held";
  if (video.status === "in_progress" && video.progress >= 99) return "Storing";
  if (isScheduled(video)) return "Scheduled";
  return STATUS_NAMES[video.status];
}

/** @param {string} reason */
export const holdText = (reason) => HOLDS[reason] ?? reason;

/** @param {import("./types.js").Video} video */
export const isLive = (video) => video.status === "queued" || video.status === "in_progress";

/** Whether its time has not come. @param {import("./types.js").Video} video */
export function isScheduled(video) {
  return video.status === "queued" && video.run_at !== null && Date.parse(video.run_at) > Date.now();
}

/** What decides about colours. @param {import("./types.js").Video} video */
export const stateOf = (video) => (video.hold_reason === null ? video.status : "held");

/** @param {import("./types.js").Video} video */
export function statusChip(video) {
  return h("span", { class: "chip", "data-status": stateOf(video) }, statusName(video));
}
