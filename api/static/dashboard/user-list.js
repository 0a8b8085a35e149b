/** `<user-list>`: what users have used and may use; limits are changed in place. */

import { fill, h, need } from "./dom.js";
import { count, money } from "./format.js";
import { asAdmin } from "./server.js";
import { complain, toast } from "./toasts.js";

const PAGE = 50;

class UserList extends HTMLElement {
  #pages = 1;
  #shown = "";

  async refresh() {
    if (this.querySelector("form") !== null) return; // somebody is changing a limit
    /** @type {import("./types.js").Quota[]} */
    const users = [];
    let after = /** @type {string | null} */ ("");
    for (let page = 0; page < this.#pages && after !== null; page++) {
      const behind = after === "" ? "" : `&after=${encodeURIComponent(after)}`;
      const found = await asAdmin("GET", `/api/admin/users?limit=${PAGE}${behind}`);
      users.push(...found.data);
      after = found.next_cursor;
    }
    const state = JSON.stringify([users, after]);
    if (state !== this.#shown) this.#paint(users, after !== null);
    this.#shown = state;
  }

  /** @param {import("./types.js").Quota[]} users @param {boolean} more */
  #paint(users, more) {
    const names = ["User", "Videos", "Spend", ""].map((name) => h("th", { scope: "col" }, name || h("span", { class: "unseen" }, "Change")));
    const next = () => { this.#pages += 1; this.refresh(); };
    fill(
      this,
      h("div", { class: "scroll", tabindex: 0, role: "group", "aria-label": "Users" }, h("table", {}, h("thead", {}, h("tr", {}, names)), h("tbody", {}, users.map((one) => this.#row(one))))),
      more && h("button", { class: "quiet", type: "button", onclick: next }, "More users"),
    );
  }

  /** @param {import("./types.js").Quota} one */
  #row(one) {
    const full = one.remaining === 0;
    const change = (/** @type {MouseEvent} */ event) => {
      const row = /** @type {HTMLElement} */ (event.currentTarget).closest("tr");
      row?.replaceWith(h("tr", {}, h("td", { colspan: 4 }, this.#form(one))));
      need("form input", this).focus();
    };
    return h(
      "tr",
      {},
      h("td", { class: "who" }, h("a", { href: `/?user=${encodeURIComponent(one.user_id)}`, title: `The videos of ${one.user_id}` }, one.user_id)),
      h("td", { class: full ? "is-over" : null }, `${count(one.used)} of ${count(one.limit)}`),
      h("td", {}, one.cost_limit === null ? money(one.cost_used) : `${money(one.cost_used)} of ${money(one.cost_limit)}`),
      h("td", { class: "number" }, h("button", { class: "quiet", type: "button", "aria-label": `Change the limits of ${one.user_id}`, onclick: change }, "Change")),
    );
  }

  /** @param {import("./types.js").Quota} one */
  #form(one) {
    const number = (/** @type {string} */ name, /** @type {string} */ label, /** @type {number | null} */ value, step = "1") => h("label", { class: "field" }, label, h("input", { name, type: "number", min: 0, step, value, placeholder: "none" }));
    const close = () => { form.remove(); this.#shown = ""; this.refresh(); };
    const save = async (/** @type {SubmitEvent} */ event) => {
      event.preventDefault();
      const given = new FormData(form);
      const read = (/** @type {string} */ name) => (given.get(name) === "" ? null : Number(given.get(name)));
      const limits = { videos_limit: read("videos_limit"), cost_limit: read("cost_limit"), max_in_flight: read("max_in_flight") };
      try {
        await asAdmin("PUT", `/api/users/${encodeURIComponent(one.user_id)}/quota`, limits);
        toast(`The limits of ${one.user_id} were changed.`);
        close();
      } catch (error) {
        complain(error, "Not changed.");
      }
    };
    const form = h(
      "form",
      { class: "limits", onsubmit: save },
      h("strong", {}, one.user_id),
      number("videos_limit", "Videos a month", one.limit),
      number("cost_limit", "Dollars a month", one.cost_limit, "0.01"),
      number("max_in_flight", "At the same time", one.max_in_flight),
      h("div", { class: "row" }, h("button", { class: "primary", type: "submit" }, "Save"), h("button", { class: "quiet", type: "button", onclick: close }, "Not now")),
    );
    return form;
  }
}

customElements.define("user-list", UserList);
