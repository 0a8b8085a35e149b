/** The page of the admins: its parts look again every few seconds, while somebody looks at them. */

import "./admin-figures.js";
import "./delivery-list.js";
import "./held-videos.js";
import "./page-bar.js";
import "./provider-list.js";
import "./sign-in.js";
import "./throughput-plot.js";
import "./toasts.js";
import "./user-list.js";
import { need } from "./dom.js";
import { keepTimes } from "./format.js";
import { live } from "./live.js";
import { ApiError, keyless } from "./server.js";
import { complain, toast } from "./toasts.js";

const EVERY_MS = 4000;
const PARTS = ["admin-figures", "throughput-plot", "held-videos", "provider-list", "user-list", "delivery-list"];

const door = need("sign-in");
let timer = 0;

/** @param {import("./types.js").Session} who */
async function begin(who) {
  need("page-bar").session = who;
  if (who.role !== "admin" && !keyless) {
    toast("This page is for admins. Sign in with the key of one.", { error: true });
    return;
  }
  await refresh();
  document.documentElement.dataset.ready = "";
  clearInterval(timer);
  timer = setInterval(() => document.hidden || refresh(), EVERY_MS);
}

async function refresh() {
  const results = await Promise.allSettled(PARTS.map((name) => need(name).refresh()));
  const failed = results.find((result) => result.status === "rejected");
  if (failed === undefined) live.become("live");
  else if (failed.reason instanceof ApiError && failed.reason.status === 0) live.become("offline");
  else complain(failed.reason, "Not everything could be read.");
}

door.addEventListener("signed-in", (/** @type {CustomEvent} */ event) => begin(event.detail));
const { flower } = document.documentElement.dataset;
need("a[data-flower]").href = flower?.startsWith(":") ? `http://${location.hostname}${flower}` : flower;
keepTimes();
door.who().then(
  (/** @type {any} */ who) => who && begin(who),
  (/** @type {unknown} */ error) => complain(error, "Not connected."),
);
