/** What the reader chose. All of it is in the address, so that a link reopens the view. */

import { addressOf, goBack, onAddressChange, readAddress, writeAddress } from "./host.js";

/** Every key with its value when the address does not say otherwise. */
export const DEFAULTS = Object.freeze({
  view: "", // "confusion" or "prototypes"; "" takes the first study's
  run: "", // "" takes the first of the view
  // Confusion view.
  compare: "", // another run
  layout: "side", // of a comparison: "side" or "difference"
  table: "target_by_class", // or "target_by_pair"
  response: "both", // or "accuracy", "accuracy_without_pair"
  measure: "difference_points",
  q: "0.05",
  order: "label", // or "cluster", "hand"
  find: "", // a part of the names of classes to point out
  hand: "", // labels in the reader's order, as in "3.0.1"
  cell: "", // the opened cell: "response.row.target", numbers but the first
  // Prototype view.
  interval: "", // number of the interval; "" follows the newest
  init: "0",
  grid: "images", // or "changes" since the origin's class prototype
  target: "", // the chosen cell of the prototype grid, labels
  origin: "",
  enlarged: "", // "1": the chosen cell is opened
  pair: "", // the chosen cell of a slice, two prototypes: "c.row.column" or "r.row.column"
  scale: "shared", // of the slices' colours: "shared" or "own"
});

class Store {
  constructor() {
    this._values = { ...DEFAULTS, ...known(readAddress()) };
    this._listeners = [];
    this._isPushed = false;
    this._isGoingBack = false;
    onAddressChange(() => this._onAddressChange());
  }

  /** The current choices: an object with the keys of `DEFAULTS`, all texts. */
  get() {
    return this._values;
  }

  /**
   * Changes some choices and tells the listeners.
   * @param {Object} changes Keys of `DEFAULTS`; values are turned into texts.
   * @param {{push?: boolean}} options `push`: the back button undoes it.
   */
  set(changes, { push = false } = {}) {
    const next = { ...this._values };
    for (const [key, value] of Object.entries(changes)) {
      if (!(key in DEFAULTS)) throw new Error(`Unknown state key ${key}.`);
      next[key] = value === null || value === undefined ? DEFAULTS[key] : String(value);
    }
    const isSame = Object.keys(next).every((key) => next[key] === this._values[key]);
    if (isSame) return;
    this._values = next;
    if (push) this._isPushed = true;
    writeAddress(this._changed(), { push });
    this._tell();
  }

  /**
   * Changes some choices that the last pushed change made, as the back button would; what
   * was changed since stays. Without a pushed change, as `set`.
   */
  undo(changes) {
    if (!this._isPushed) return this.set(changes);
    this._isPushed = false;
    this._isGoingBack = goBack();
    return this._isGoingBack ? this._take({ ...this._values, ...changes }) : this.set(changes);
  }

  /** A link to this view. */
  link() {
    return addressOf(this._changed());
  }

  /** Calls back after every change. */
  subscribe(listener) {
    this._listeners.push(listener);
  }

  _onAddressChange() {
    this._isPushed = false;
    if (!this._isGoingBack) return this._take(readAddress());
    // Back where it was pushed, with all that was chosen since.
    this._isGoingBack = false;
    return writeAddress(this._changed());
  }

  _take(values) {
    this._values = { ...DEFAULTS, ...known(values) };
    this._tell();
  }

  _tell() {
    for (const listener of this._listeners) listener(this._values);
  }

  _changed() {
    return Object.fromEntries(
      Object.entries(this._values).filter(([key, value]) => value !== DEFAULTS[key]),
    );
  }
}

function known(values) {
  return Object.fromEntries(Object.entries(values).filter(([key]) => key in DEFAULTS));
}

export const store = new Store();
