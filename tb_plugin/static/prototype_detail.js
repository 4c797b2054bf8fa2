/** The opened prototype: a dialog that follows the chosen cell and the chosen interval. */

import { className, shortName } from "./class_names.js";
import { openDialog } from "./dialog.js";
import { html, replace } from "./dom.js";
import { saveButtons } from "./files.js";
import { fixed } from "./numbers.js";
import {
  cellOf,
  factsOfImage,
  neighbour,
  partName,
  prototypeName,
} from "./prototype_data.js";
import { changesSince } from "./prototype_changes.js";
import { drawFigure } from "./prototype_figure.js";
import { Requested } from "./prototype_source.js";
import { factsOf } from "./tooltip.js";

const MOVES = {
  ArrowUp: { label: "target above", text: "↑", target: -1, origin: 0 },
  ArrowLeft: { label: "origin to the left", text: "←", target: 0, origin: -1 },
  ArrowRight: { label: "origin to the right", text: "→", target: 0, origin: 1 },
  ArrowDown: { label: "target below", text: "↓", target: 1, origin: 0 },
};

/** Opens and closes with the state; there is at most one. */
export class Detail {
  constructor(store) {
    this._store = store;
    this._requested = new Requested(() => this._draw(), { what: "The prototype", node: () => this._figure });
  }

  /** @param {Choices} choices */
  update(choices, source) {
    this._choices = choices;
    if (!choices.isEnlarged) return this.close();
    if (!this._dialog) this._open();
    const { run, stamp, interval, init, target, origin } = choices;
    const key = JSON.stringify([run, stamp, interval, init, target, origin]);
    this._requested.want(key, () => this._load(choices, source));
    return undefined;
  }

  redraw() {
    if (this._dialog) this._draw();
  }

  /** Closes without telling the state. */
  close() {
    const dialog = this._dialog;
    this._dialog = null;
    dialog?.close();
  }

  destroy() {
    this._requested.destroy();
    this.close();
  }

  _open() {
    this._requested.forget();
    this._figure = html("div", { class: "detail-figure" });
    this._facts = html("div");
    this._buttons = {};
    const pad = html("div", { class: "move-pad", role: "group", "aria-label": "Neighbours" });
    for (const [key, move] of Object.entries(MOVES)) {
      const label = `${move.label} (arrow key)`;
      this._buttons[key] = html("button", {
        ...{ type: "button", class: key, title: label, "aria-label": label, text: move.text },
        onclick: () => this._move(move),
      });
      pad.append(this._buttons[key]);
    }
    const save = saveButtons({ drawing: () => this._svg, name: () => this._fileName() });
    const side = html(
      "div",
      { class: "detail-side" },
      this._facts,
      pad,
      html("p", { class: "muted", text: "Arrow keys: neighbours. [ and ]: the interval before and after." }),
      save,
    );
    const { study, target, origin } = this._choices;
    this._dialog = openDialog(
      titleOf({ study, target, origin }),
      [this._requested.alert, html("div", { class: "detail" }, this._figure, side)],
      {
        wide: true,
        onclose: () => {
          if (!this._dialog) return;
          this._dialog = null;
          this._store.undo({ enlarged: "" });
        },
      },
    );
    this._dialog.node.classList.add("prototype-dialog");
    this._dialog.node.addEventListener("keydown", (event) => this._onKey(event));
  }

  _onKey(event) {
    // Where [ and ] need AltGr or Option, they come with these modifiers.
    const step = event.metaKey ? 0 : { "[": -1, "]": 1 }[event.key];
    if (MOVES[event.key]) {
      if (event.altKey || event.metaKey || event.ctrlKey) return;
      event.preventDefault();
      this._move(MOVES[event.key]);
    } else if (step) {
      const next = neighbour(this._choices.finished, this._choices.interval, step);
      if (next !== null) this._store.set({ interval: next });
    }
  }

  _move(move) {
    const [target, origin] = this._moved(move);
    this._store.set({ target, origin });
  }

  _moved(move) {
    const last = this._choices.study.class_names.length - 1;
    const within = (label) => Math.min(last, Math.max(0, label));
    return [within(this._choices.target + move.target), within(this._choices.origin + move.origin)];
  }

  async _load({ study, finished, interval, init, target, origin }, source) {
    const size = study.class_names.length;
    const there = study.intervals.map((_, at) => at).filter((at) => finished[at][init]);
    const isIntermediary = target !== origin;
    const [cells, picture, ofOrigin, ofTarget, frames, ...over] = await Promise.all([
      source.cells(interval, init),
      source.prototype(interval, init, target, origin),
      isIntermediary ? source.prototype(interval, init, origin, origin) : null,
      isIntermediary ? source.prototype(interval, init, target, target) : null,
      source.frames(interval, init, target, origin),
      ...there.map((at) => source.prototype(at, init, target, origin)),
    ]);
    const cell = cellOf(cells, size, target, origin);
    return { study, interval, init, target, origin, cell, picture, ofOrigin, ofTarget, frames, there, over };
  }

  _fileName() {
    const { study, interval, init, target, origin } = this._requested.value;
    const [of, from] = [className(study, target), className(study, origin)];
    return [this._choices.name, of, "from", from, `${study.intervals[interval]}percent`, `init${init}`];
  }

  _draw() {
    const shown = this._requested.value;
    if (!shown || !this._dialog) return;
    const { study, interval, init, target, origin, cell } = shown;
    const title = titleOf(shown);
    this._dialog.setTitle(title);
    this._svg = drawFigure({
      title,
      subtitle: `${partName(study, interval, init)}; ${cell.isConverged ? "" : "not "}converged`,
      picture: shown.picture,
      beside: besideOf(shown),
      strips: this._strips(shown),
    });
    replace(this._figure, this._svg);
    const rows = [
      ["target", shortName(study, target)],
      ["origin", target === origin ? "noise" : shortName(study, origin)],
      ...factsOfImage(study, cell),
      ["interval", `${study.intervals[interval]} %`],
      ["initialisation", String(init)],
    ];
    replace(this._facts, ...factsOf("This image", rows));
    for (const [key, move] of Object.entries(MOVES)) {
      const [row, column] = this._moved(move);
      this._buttons[key].disabled = row === this._choices.target && column === this._choices.origin;
    }
  }

  _strips({ study, interval, frames, there, over }) {
    const strips = [];
    if (frames.length > 1) {
      const last = frames.length - 1;
      const labels = frames.map((_, at) => (at === 0 ? "first image" : at === last ? "final" : ""));
      const changes = changesSince(frames).pictures;
      const items = frames.map((frame, at) => ({ label: labels[at], picture: frame, below: changes[at] }));
      strips.push({ title: "On its way; below, the change since the first image", items });
    }
    strips.push({
      title: "Over the training",
      items: there.map((at, index) => ({
        label: `${study.intervals[at]} %`,
        picture: over[index],
        isChosen: at === interval,
        onchoose: () => this._store.set({ interval: at }),
      })),
    });
    return strips;
  }
}

function titleOf({ study, target, origin }) {
  const name = prototypeName(study, target, origin);
  return target === origin ? `C${name.slice(1)}` : `Prototype of ${name}`;
}

/** Where it began, what changed on its way, and the target's class prototype. */
function besideOf({ study, target, origin, picture, ofOrigin, ofTarget, frames }) {
  const began = ofOrigin ?? frames[0];
  const items = [];
  if (ofOrigin) {
    items.push({ picture: ofOrigin, lines: [`Origin: ${shortName(study, origin)}`, "class prototype, where this began"] });
  }
  if (began) {
    const change = changesSince([began, picture]);
    const since = ofOrigin ? "from the origin to this image" : "from the first image to this one";
    items.push({
      picture: change.pictures[1],
      lines: ["Change", since, `grey: none; contrast × ${fixed(change.factor, 1)}`],
    });
  }
  if (ofTarget) {
    items.push({ picture: ofTarget, lines: [`Target: ${shortName(study, target)}`, "class prototype, made from noise"] });
  }
  return items;
}
