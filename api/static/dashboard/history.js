/** What happened to a video: its events, its attempts, and the videos that it came from and led to. */

import { open } from "./actions.js";
import { h } from "./dom.js";
import { between, bytes, holdText, moment, money, statusChip } from "./format.js";

/** @typedef {import("./types.js").Video} Video @typedef {import("./types.js").VideoEvent} VideoEvent */

/** @type {Record<string, string | ((data: Record<string, any>) => string)>} */
const TOLD = {
  created: "Accepted",
  remixed: "Asked for as a remix",
  retried: "Asked for again",
  status_changed: "Taken by the provider",
  progress: (data) => (data.progress >= 99 ? "The provider has finished; copying" : `${data.progress} %`),
  completed: (data) => `Stored${data.bytes ? `, ${bytes(data.bytes)}` : ""}`,
  thumbnail_ready: "Picture ready",
  failed: (data) => `Failed: ${data.message ?? data.code ?? ""}`,
  cancelled: (data) => `Cancelled${data.cost ? `, charged ${money(Number(data.cost))}` : ""}`,
  deleted: "Deleted",
  archived: "Archived",
  unarchived: "Back from the archive",
  held: (data) => `Held: ${holdText(data.reason)}`,
  released: (data) => `An operator decided: ${data.decision}`,
  charged: (data) => `Charged ${data.cost ? money(Number(data.cost)) : ""}`,
  purged: "File removed after its retention",
  downloaded: "Fetched",
};
const REPEATING = new Set(["progress", "downloaded"]);
/** @type {Record<string, string>} */
const ATTEMPTS = {
  sent: "Sent; no answer yet",
  accepted: "Accepted",
  rejected: "Refused or not delivered",
  unknown: "Unknown; no answer came",
  abandoned: "Not found at the provider",
};

/**
 * @param {VideoEvent[]} events oldest first
 */
export function timeline(events) {
  const start = events[0]?.created_at;
  const entries = drawnTogether(events).map((event) =>
    h("li", { "data-event": event.event_type }, h("span", {}, said(event)), h("time", { class: "dim", datetime: event.created_at, title: moment(event.created_at) }, event.created_at === start ? moment(start) : `+ ${between(start, event.created_at)}`)),
  );
  return section("Timeline", h("ol", { class: "timeline" }, entries));
}

/** @param {import("./types.js").Attempt[]} attempts */
export function attemptTable(attempts) {
  if (attempts.length === 0) return section("Attempts", h("p", { class: "dim" }, "Not submitted yet."));
  const rows = attempts.map((one) =>
    h(
      "tr",
      {},
      h("td", {}, one.n),
      h("td", {}, one.provider),
      h("td", {}, ATTEMPTS[one.state] ?? one.state, one.detached && " (watched for its cost)"),
      h("td", {}, one.accepted_at ? between(one.sent_at, one.accepted_at) : one.http_status ?? "–"),
      h("td", { class: "number" }, money(one.cost)),
    ),
  );
  const names = ["#", "Provider", "Outcome", "Answer after", "Cost"].map((name) => h("th", { scope: "col" }, name));
  return section("Attempts", h("div", { class: "scroll", tabindex: 0, role: "group", "aria-label": "Attempts" }, h("table", {}, h("thead", {}, h("tr", {}, names)), h("tbody", {}, rows))));
}

/**
 * @param {Video[]} family the video, those that it came from and those that came from it
 * @param {string} id the video itself
 */
export function familyTree(family, id) {
  if (family.length < 2) return null;
  const known = new Set(family.map((video) => video.id));
  const parent = (/** @type {Video} */ video) => video.remixed_from_video_id ?? video.retry_of;
  /** @type {(video: Video) => HTMLElement} */
  const branch = (video) => {
    const children = family.filter((other) => parent(other) === video.id);
    return h("li", {}, leaf(video, id), children.length > 0 && h("ul", {}, children.map(branch)));
  };
  const roots = family.filter((video) => !known.has(parent(video) ?? ""));
  return section("Versions", h("ul", { class: "tree" }, roots.map(branch)));
}

/** @param {Video} video @param {string} id */
function leaf(video, id) {
  const kind = video.retry_of === null ? video.kind : "retry";
  const label = [h("span", { class: "dim" }, `${kind} `), h("bdi", {}, video.prompt)];
  const follow = (/** @type {MouseEvent} */ event) => { event.preventDefault(); open(video.id); };
  return h(
    "div",
    { class: "row leaf" },
    statusChip(video),
    video.id === id ? h("strong", { "aria-current": "true" }, ...label) : h("a", { href: `?video=${video.id}`, onclick: follow }, ...label),
  );
}

/** @param {VideoEvent} event */
function said(event) {
  const told = TOLD[event.event_type] ?? event.event_type;
  return typeof told === "string" ? told : told(event.event_data);
}

/**
 * Of what repeats itself only the last; and of an end only the event that says how.
 *
 * @param {VideoEvent[]} events
 */
function drawnTogether(events) {
  const told = events.filter((one) => one.event_type !== "status_changed" || one.event_data.to === "in_progress");
  const repeats = (/** @type {VideoEvent} */ one, /** @type {number} */ n) => REPEATING.has(one.event_type) && told[n + 1]?.event_type === one.event_type;
  return told.filter((one, n) => !repeats(one, n));
}

/** @param {string} title @param {...any} content */
function section(title, ...content) {
  return h("section", {}, h("h3", {}, title), ...content);
}
