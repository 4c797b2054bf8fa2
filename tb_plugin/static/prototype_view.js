/** The prototype view: images, slices of C and R, and how all of it develops. */

import { html } from "./dom.js";
import { Controls } from "./prototype_controls.js";
import { choicesOf, neighbour, prototypesOf } from "./prototype_data.js";
import { Detail } from "./prototype_detail.js";
import { ImagesPanel } from "./prototype_images.js";
import { PairPanel, SlicePanel } from "./prototype_slices.js";
import { Source } from "./prototype_source.js";
import { TrendsPanel } from "./prototype_trends.js";

// From here on images need the room of two slices.
const MANY_CLASSES = 33;
const MILLISECONDS_BEFORE_PRELOADING = 150;

class PrototypeView {
  constructor(container, store) {
    this._store = store;
    this.node = html("div", { class: "prototypes" });
    container.append(this.node);
    this._controls = new Controls(this.node, store);
    this._empty = html("p", { class: "notice", role: "status", text: "No part of this study is finished yet.", hidden: true });
    this._panels = html("div", { class: "prototype-panels" });
    this.node.append(this._empty, this._panels);
    this._parts = [];
  }

  /** Makes everything below the controls; anew for another study, of which nothing may stay. */
  _build() {
    this._destroyParts();
    const store = this._store;
    const open = (target, origin) => store.set({ target, origin, enlarged: "1" }, { push: true });
    const point = (cells) => this._images.point(cells ?? this._pointedByPair());
    const pair = ({ matrix, row, column }) => store.set({ pair: `${matrix}.${row}.${column}` });
    this._images = new ImagesPanel(this._panels, { onopen: open });
    this._slices = [
      new SlicePanel(this._panels, "c", {
        onaxis: (origin) => this._chooseCell(this._choices.target, origin),
        onpoint: point,
        onpair: pair,
      }),
      new SlicePanel(this._panels, "r", {
        onaxis: (target) => this._chooseCell(target, this._choices.origin),
        onpoint: point,
        onpair: pair,
      }),
    ];
    this._pair = new PairPanel(this._panels, { onopen: open, onclose: () => store.set({ pair: "" }) });
    this._trends = new TrendsPanel(this.node, { oninterval: (interval) => this._chooseInterval(interval) });
    this._detail = new Detail(store);
    this._parts = [this._images, ...this._slices, this._pair, this._trends, this._detail];
  }

  _destroyParts() {
    clearTimeout(this._timer);
    for (const part of this._parts) {
      part.destroy();
      part.node?.remove();
    }
    this._parts = [];
  }

  update(entry, state, studies) {
    const choices = choicesOf(entry, state, studies);
    // Of the same network all can stay where it is: only the images are others.
    if (!choices.ways.some(({ run }) => run === this._choices?.run)) {
      this._controls.stop();
      this._build();
    }
    const key = JSON.stringify([entry.run, entry.stamp]);
    if (key !== this._key) {
      this._key = key;
      this._source = new Source(entry);
    }
    this._choices = choices;
    const isEmpty = choices.interval < 0;
    this._empty.hidden = !isEmpty;
    this._panels.hidden = isEmpty;
    this._trends.node.hidden = isEmpty;
    this._panels.classList.toggle("many", choices.study.class_names.length >= MANY_CLASSES);
    this._controls.update(choices);
    if (isEmpty) return;
    for (const part of this._parts) part.update(choices, this._source);
    this._images.point(this._pointedByPair());
    clearTimeout(this._timer);
    this._timer = setTimeout(() => this._preload(), MILLISECONDS_BEFORE_PRELOADING);
  }

  redraw() {
    for (const part of this._parts) part.redraw?.();
  }

  onKey(event) {
    // Where they need AltGr or Option, they come with the modifiers Alt and Control.
    const step = { "[": -1, "]": 1 }[event.key];
    if (step && !event.metaKey) this._controls.step(step);
    if (event.metaKey || event.ctrlKey || event.altKey) return;
    if (event.key === "p") this._controls.nextWay();
    if (event.key === "f" && this._choices?.interval >= 0) this._images.togglePlay();
    // A dialog that this key has just closed is there until it has told so.
    const isForDialog = document.querySelector("dialog") !== null;
    if (event.key === "Escape" && this._choices?.pair && !isForDialog) this._store.set({ pair: "" });
  }

  destroy() {
    this._destroyParts();
    this._controls.destroy();
    this.node.remove();
  }

  _chooseCell(target, origin) {
    this._store.set({ target, origin });
  }

  _chooseInterval(interval) {
    if (this._choices.finished[interval].some(Boolean)) this._store.set({ interval });
  }

  _pointedByPair() {
    const { pair, target, origin } = this._choices;
    if (!pair) return [];
    return prototypesOf(pair.matrix, pair.matrix === "c" ? origin : target, pair.row, pair.column);
  }

  /** The intervals beside the shown one, so that the slider does not wait. */
  _preload() {
    const { finished, interval, init, target, origin } = this._choices;
    const source = this._source;
    for (const step of [1, -1]) {
      const next = neighbour(finished, interval, step);
      if (next === null || !finished[next][init]) continue;
      const wanted = [
        source.mosaic(next, init),
        source.cells(next, init),
        source.slice("c", next, init, origin),
        source.slice("r", next, init, target),
      ];
      // What fails here is told when it is really wanted.
      for (const promise of wanted) promise.catch(() => {});
    }
  }
}

/** Called by index.js. */
export function create(container, { store }) {
  return new PrototypeView(container, store);
}
