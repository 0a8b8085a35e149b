/** `<sign-in>`: asks for an API key where there is no session. Event `signed-in` (detail: who). */

import { need } from "./dom.js";
import { ApiError, call, get, session } from "./server.js";

class SignIn extends HTMLElement {
  #dialog = /** @type {HTMLDialogElement} */ (need("dialog", this));
  #field = /** @type {HTMLInputElement} */ (need("input", this));
  #note = need("[role=alert]", this);

  connectedCallback() {
    need("form", this).addEventListener("submit", (/** @type {SubmitEvent} */ event) => {
      event.preventDefault();
      this.#open();
    });
    this.#dialog.addEventListener("cancel", (event) => event.preventDefault());
    session.addEventListener("signed-out", () => this.#ask());
  }

  /**
   * Who is signed in; without anybody the dialog opens, and `signed-in` follows.
   *
   * @returns {Promise<import("./types.js").Session | null>}
   */
  async who() {
    try {
      return await get("/session");
    } catch (error) {
      if (error instanceof ApiError && error.status === 401) return null;
      throw error;
    }
  }

  #ask() {
    if (!this.#dialog.open) this.#dialog.showModal();
  }

  async #open() {
    this.#note.textContent = "";
    try {
      const who = await call("POST", "/session", { body: { key: this.#field.value.trim() } });
      this.#field.value = "";
      this.#dialog.close();
      this.dispatchEvent(new CustomEvent("signed-in", { detail: who }));
    } catch (error) {
      this.#note.textContent = /** @type {Error} */ (error).message;
      this.#field.select();
    }
  }
}

customElements.define("sign-in", SignIn);
