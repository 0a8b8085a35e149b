/** The page of videos: puts its parts together once somebody is signed in. */

import "./create-form.js";
import "./image-field.js";
import "./more-fields.js";
import "./page-bar.js";
import "./quota-meter.js";
import "./sign-in.js";
import "./toasts.js";
import "./video-detail.js";
import "./video-filters.js";
import "./video-gallery.js";
import { need } from "./dom.js";
import { readFilters } from "./filters.js";
import { keepTimes } from "./format.js";
import { live } from "./live.js";
import { get, looked } from "./server.js";
import { complain } from "./toasts.js";

const bar = need("page-bar");
const door = need("sign-in");
const form = need("create-form");
const filters = need("video-filters");
const gallery = need("video-gallery");
const quota = need("quota-meter");

/** @param {import("./types.js").Session} who */
async function begin(who) {
  bar.session = who;
  if (looked !== null) showWhose(looked);
  document.documentElement.dataset.ready = "";
  live.start();
  gallery.show(readFilters());
  quota.refresh();
  filters.count();
  need("video-detail").restore();
  try {
    const models = (await get("/api/models")).data;
    if (looked === null) form.models = models;
    filters.models = models;
  } catch (error) {
    complain(error, "The models could not be read.");
  }
}

/** An admin only looks. @param {string} user */
function showWhose(user) {
  need(".side").hidden = true;
  need(".looked").hidden = false;
  need(".looked strong").textContent = user;
  need("#gallery-title").textContent = `Videos of ${user}`;
}

async function start() {
  try {
    const who = await door.who();
    if (who !== null) await begin(who);
  } catch (error) {
    complain(error, "Not connected.");
    setTimeout(start, 3000);
  }
}

door.addEventListener("signed-in", (/** @type {CustomEvent} */ event) => begin(event.detail));
filters.addEventListener("filtered", (/** @type {CustomEvent} */ event) => {
  if ("ready" in document.documentElement.dataset) gallery.show(event.detail);
});
form.addEventListener("asked", () => { quota.refresh(); form.refresh(); filters.count(); });
live.addEventListener("state", (event) => {
  if (/** @type {CustomEvent} */ (event).detail === "live") form.refresh();
});
keepTimes();
start();
