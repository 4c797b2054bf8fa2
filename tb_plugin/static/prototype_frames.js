/** The way of all images of a grid, from their origins to their targets, to be played. */

import { html } from "./dom.js";
import { unreadable } from "./prototype_source.js";

const MILLISECONDS_OF_ALL = 2400;
const SHORTEST_MILLISECONDS = 120;

/** A button and a slider; both ask for the frames when they are first used. */
export class FramesBar {
  /**
   * @param {{load: function(): Promise<Array<HTMLImageElement>>,
   *   onframe: function()}} listeners `load` gives a picture of the whole grid a frame;
   *   `onframe` is called when `shown` is another one.
   */
  constructor({ load, onframe }) {
    this._load = load;
    this._onframe = onframe;
    this._turn = 0;
    this._button = html("button", { type: "button", onclick: () => this.togglePlay() });
    this._slider = html("input", {
      type: "range",
      min: "0",
      step: "1",
      "aria-label": "Frame, from origin to target",
      oninput: () => this._choose(Number(this._slider.value)),
    });
    this._alert = html("span", { class: "warning", role: "alert" });
    this.node = html("span", { class: "frames", hidden: true }, this._button, this._slider, this._alert);
    this._showPlay();
  }

  /** The frame that is shown: {picture, text}; null for the finished images. */
  get shown() {
    if (!this._pictures || this._at === this._last) return null;
    return { picture: this._pictures[this._at], text: `frame ${this._at + 1} of ${this._last + 1}` };
  }

  /** Goes back to the finished images, of which there are so many frames; 0 or 1 for none. */
  reset(numFrames) {
    this.stop();
    this._turn += 1;
    this._pictures = null;
    this._last = this._at = Math.max(0, numFrames - 1);
    this.node.hidden = this._last === 0;
    this._slider.max = this._last;
    this._slider.value = this._at;
    this._alert.textContent = "";
    this._tellAt();
  }

  /** Plays from the beginning, or stops where it is. */
  async togglePlay() {
    if (this._timer) return this.stop();
    if (this.node.hidden || !(await this._choose(0))) return undefined;
    const step = Math.max(SHORTEST_MILLISECONDS, MILLISECONDS_OF_ALL / this._last);
    clearInterval(this._timer);
    this._timer = setInterval(() => {
      this._go(this._at + 1);
      if (this._at === this._last) this.stop();
    }, step);
    return this._showPlay();
  }

  stop() {
    clearInterval(this._timer);
    this._timer = null;
    this._showPlay();
  }

  /** Whether the frame could be shown. */
  async _choose(at) {
    this.stop();
    this._turn += 1;
    const turn = this._turn;
    try {
      const pictures = this._pictures ?? (await this._load());
      if (turn !== this._turn) return false;
      this._pictures = pictures;
      this._alert.textContent = "";
      this._go(at);
      return true;
    } catch (error) {
      if (turn === this._turn) this._alert.textContent = unreadable("The frames", error);
      return false;
    }
  }

  _go(at) {
    this._at = at;
    this._slider.value = at;
    this._tellAt();
    this._onframe();
  }

  _tellAt() {
    const place = this._at === 0 ? "origin" : this._at === this._last ? "target" : `frame ${this._at + 1} of ${this._last + 1}`;
    this._slider.setAttribute("aria-valuetext", place);
  }

  _showPlay() {
    const text = this._timer ? "Stop" : "Play";
    this._button.textContent = this._timer ? "■ stop" : "▶ origin → target";
    this._button.title = `${text} the way of all images from origin to target (f)`;
    this._button.setAttribute("aria-label", `${text} the way of all images from origin to target`);
  }
}
