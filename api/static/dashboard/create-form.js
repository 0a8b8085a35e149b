/** `<create-form>`: asks for a video. Event `asked` (detail: the accepted video). */

import { fill, h, need, soon } from "./dom.js";
import { count, money } from "./format.js";
import { fillSeconds, fillSizes } from "./limits.js";
import { ApiError, call, freshKey } from "./server.js";
import { store } from "./store.js";
import { complain } from "./toasts.js";

/** @typedef {import("./types.js").Model} Model */

const PROMPT_MAX = 32_000;
const PRICE_MS = 250;

class CreateForm extends HTMLElement {
  #form = /** @type {HTMLFormElement} */ (need("form", this));
  #prompt = /** @type {HTMLTextAreaElement} */ (need("#prompt", this));
  #submit = /** @type {HTMLButtonElement} */ (need("[type=submit]", this));
  #price = need("output", this);
  #image = need("image-field", this);
  #more = need("more-fields", this);
  #note = need("#form-note", this);
  /** @type {Model[]} */
  #models = [];
  /** Of the last submission whose fate is not known: sent again, it must not make a second video. */
  #unsure = { key: freshKey(), wish: "" };
  #priceSoon = soon(() => this.#ask(), PRICE_MS);

  connectedCallback() {
    this.#form.addEventListener("submit", (event) => { event.preventDefault(); this.#send(); });
    this.#prompt.addEventListener("input", () => this.#counted());
    this.#prompt.addEventListener("keydown", (event) => {
      if (event.key === "Enter" && (event.metaKey || event.ctrlKey)) this.#form.requestSubmit();
    });
    need("#model", this).addEventListener("change", () => this.#allow());
    this.#form.addEventListener("input", (event) => {
      if (event.target !== this.#prompt) this.#priceSoon();
      this.#unmark();
    });
    need("#size", this).addEventListener("change", () => this.#custom());
    this.#counted();
  }

  /** @param {Model[]} models */
  set models(models) {
    this.#models = models;
    fill(need("#model", this), models.map(({ id }) => new Option(id, id)));
    this.#allow();
  }

  /** Looks again at what it would cost and whether the quota allows it. */
  refresh() {
    this.#priceSoon();
  }

  /** Offers what the chosen model can do. */
  #allow() {
    const model = this.#models.find(({ id }) => id === need("#model", this).value);
    if (model === undefined) return;
    fillSeconds(need("#seconds", this), model);
    fillSizes(need("#size", this), model);
    this.#more.quality = model.quality;
    this.#image.hidden = !model.input_reference;
    this.#custom();
    this.#priceSoon();
  }

  #custom() {
    const chosen = need("#size", this).value === "custom";
    need("#custom-size", this).hidden = !chosen;
    need("#width", this).disabled = need("#height", this).disabled = !chosen;
    this.#priceSoon();
  }

  #counted() {
    const length = [...this.#prompt.value].length;
    const counter = need("#prompt-count", this);
    counter.textContent = `${count(length)} / ${count(PROMPT_MAX)}`;
    counter.classList.toggle("is-over", length > PROMPT_MAX);
  }

  /** @returns {Record<string, string>} what decides about the price, in the words of the API */
  #shape() {
    const given = /** @type {Record<string, string>} */ (Object.fromEntries(new FormData(this.#form)));
    const size = given.size === "custom" ? `${given.width}x${given.height}` : given.size;
    return { model: given.model, seconds: given.seconds, size };
  }

  async #ask() {
    if (this.#models.length === 0) return;
    try {
      const found = await call("POST", "/api/estimate", { body: { ...this.#shape(), prompt: "?" } });
      const left = found.allowed ? `${count(found.remaining)} left this month` : "over your quota";
      fill(this.#price, h("strong", {}, money(found.cost)), h("span", { class: found.allowed ? "dim" : "is-over" }, left));
    } catch (error) {
      fill(this.#price, h("span", { class: "dim" }, "–"));
      this.#marked(error);
    }
  }

  async #send() {
    const wish = { prompt: this.#prompt.value, ...this.#shape(), ...this.#more.wish };
    const file = this.#image.file;
    const same = JSON.stringify([wish, file?.name, file?.size, file?.lastModified]);
    if (this.#unsure.wish !== same) this.#unsure = { key: freshKey(), wish: same };
    this.#submit.disabled = true;
    this.#submit.setAttribute("aria-busy", "true");
    try {
      const body = file === null ? wish : asForm(wish, file);
      const video = await call("POST", "/api/videos", { body, headers: this.#unsure.key });
      this.#unsure.wish = "";
      store.put(video);
      this.#reset();
      this.dispatchEvent(new CustomEvent("asked", { detail: video }));
    } catch (error) {
      const field = this.#marked(error);
      if (field === null) complain(error, "Not accepted.");
      else field.focus();
    } finally {
      this.#submit.disabled = false;
      this.#submit.removeAttribute("aria-busy");
    }
  }

  #reset() {
    this.#prompt.value = "";
    this.#image.clear();
    this.#more.clear();
    this.#counted();
    this.#prompt.focus({ preventScroll: true });
  }

  /**
   * Says at a field what the server has said about it.
   *
   * @param {unknown} error
   * @returns {HTMLElement | null} the field, if the error is about one
   */
  #marked(error) {
    this.#unmark();
    const field = error instanceof ApiError && error.param ? this.#field(error.param) : null;
    if (!(field instanceof HTMLElement)) return null;
    if (this.#more.contains(field)) this.#more.unfold();
    field.setAttribute("aria-invalid", "true");
    field.setAttribute("aria-errormessage", this.#note.id);
    field.closest(".noted")?.append(this.#note);
    this.#note.textContent = /** @type {Error} */ (error).message;
    return field;
  }

  /** @param {string} param as the API calls it */
  #field(param) {
    const custom = need("#size", this).value === "custom";
    const name = param === "input_reference" ? "reference" : param === "size" && custom ? "width" : param;
    return this.#form.elements.namedItem(name);
  }

  #unmark() {
    this.#note.textContent = "";
    for (const field of this.querySelectorAll("[aria-invalid]")) {
      field.removeAttribute("aria-invalid");
      field.removeAttribute("aria-errormessage");
    }
  }
}

/** @param {Record<string, string | number>} wish @param {File} file */
function asForm(wish, file) {
  const form = new FormData();
  for (const [name, value] of Object.entries(wish)) form.append(name, String(value));
  form.append("input_reference", file);
  return form;
}

customElements.define("create-form", CreateForm);
