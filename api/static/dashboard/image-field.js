/** `<image-field>`: a reference image, chosen, dropped or pasted, with a preview. */

import { need } from "./dom.js";
import { toast } from "./toasts.js";

const MAX_BYTES = 20 * 1024 * 1024;

class ImageField extends HTMLElement {
  #input = /** @type {HTMLInputElement} */ (need("input", this));
  #preview = /** @type {HTMLImageElement} */ (need("img", this));
  /** @type {File | null} */
  file = null;

  connectedCallback() {
    this.#input.addEventListener("change", () => this.#take(this.#input.files?.[0]));
    need("[data-clear]", this).addEventListener("click", () => { this.clear(); this.#input.focus(); });
    this.addEventListener("dragover", (event) => { event.preventDefault(); this.classList.add("is-over-drop"); });
    this.addEventListener("dragleave", () => this.classList.remove("is-over-drop"));
    this.addEventListener("drop", (event) => {
      event.preventDefault();
      this.classList.remove("is-over-drop");
      this.#take(event.dataTransfer?.files[0]);
    });
    need("#prompt").addEventListener("paste", (/** @type {ClipboardEvent} */ event) => {
      const [image] = event.clipboardData?.files ?? [];
      if (image && !this.hidden) this.#take(image);
    });
  }

  clear() {
    URL.revokeObjectURL(this.#preview.src);
    this.file = null;
    this.#input.value = "";
    this.#preview.removeAttribute("src");
    this.classList.remove("has-image");
  }

  /** @param {File | undefined} file */
  #take(file) {
    if (file === undefined) return;
    if (!file.type.startsWith("image/")) {
      toast("A reference must be an image: PNG, JPEG or WebP.", { error: true });
      return;
    }
    if (file.size > MAX_BYTES) {
      toast("A reference image can have at most 20 MiB.", { error: true });
      return;
    }
    this.clear();
    this.file = file;
    this.#preview.src = URL.createObjectURL(file);
    this.#preview.alt = `Reference image: ${file.name}`;
    this.classList.add("has-image");
  }
}

customElements.define("image-field", ImageField);
