/** One slice of C or R as a heat map, and the two images that a cell of it compares. */

import { className, classNames, shortName } from "./class_names.js";
import { sequentialScale } from "./colours.js";
import { choice, html, replace, setOptions } from "./dom.js";
import { saveButtons, toCsv } from "./files.js";
import { Grid } from "./grid.js";
import { shorten } from "./grid_frame.js";
import { fixed } from "./numbers.js";
import {
  largestOf,
  parametrizationOf,
  prototypeName,
  prototypesOf,
  sharedLimit,
  sliceTable,
  withoutSelf,
} from "./prototype_data.js";
import { enlarged, PictureTip } from "./prototype_images.js";
import { Requested } from "./prototype_source.js";
import { factsOf } from "./tooltip.js";

const KINDS = {
  c: { name: "C", axis: "origin", compared: "target", text: "between targets" },
  r: { name: "R", axis: "target", compared: "origin", text: "within a target" },
};
const DIGITS = 3;
const DEFINITION =
  "C[k, j, i] compares images of one origin j and two targets k and i; R[k, j, i] images of one target k " +
  "and two origins j and i, by 1 − cosine of their features: 0 where the network sees the same. " +
  "Point at a cell to find its two images in the grid; choose it to keep them here.";

/** A slice of C (of one origin) or R (of one target). */
export class SlicePanel {
  /**
   * @param {"c"|"r"} matrix
   * @param {{onaxis: function(number), onpoint: function(Array), onpair: function(Object)}} listeners
   *   `onaxis`: another origin or target was chosen; `onpoint`: prototypes to point out,
   *   as [target, origin]; `onpair`: a cell was chosen.
   */
  constructor(container, matrix, { onaxis, onpoint, onpair }) {
    this._matrix = matrix;
    this._kind = KINDS[matrix];
    this._onpoint = onpoint;
    this._tip = new PictureTip();
    this._requested = new Requested(() => this._draw(), { what: `The slice of ${this._kind.name}`, node: () => this._grid.node });
    this._axis = choice({
      label: `${this._kind.name} of ${this._kind.axis}`,
      options: [],
      value: "",
      onchange: (label) => onaxis(Number(label)),
    });
    const head = html("div", { class: "panel-head" }, this._axis, html("span", { class: "spacer" }));
    this.node = html(
      "section",
      { class: `panel slice-${matrix}`, "aria-label": `Matrix ${this._kind.name}` },
      head,
      this._requested.alert,
    );
    container.append(this.node);
    this._grid = new Grid(this.node, {
      onhover: (row, column, rect) => this._explain(row, column, rect),
      onleave: () => {
        this._tip.hide();
        onpoint(null);
      },
      onopen: (row, column) => {
        if (row !== column) onpair({ matrix, row, column });
      },
    });
    head.append(
      saveButtons({
        drawing: () => this._grid.svg,
        csv: () => {
          const { header, rows } = sliceTable(this._choices, this._requested.value);
          return toCsv(header, rows);
        },
        name: () => this._fileName(),
      }),
    );
  }

  /** @param {Choices} choices */
  update(choices, source) {
    this._choices = choices;
    const { study, interval, init, run, stamp } = choices;
    const matrix = this._matrix;
    const index = choices[this._kind.axis];
    setOptions(
      this._axis.select,
      classNames(study).map((name, label) => ({ value: String(label), text: shorten(name, 24) })),
      String(index),
    );
    this._requested.want(JSON.stringify([run, stamp, interval, init, index]), async () => {
      const [values, overview] = await Promise.all([
        source.slice(matrix, interval, init, index),
        source.overview(),
      ]);
      return {
        ...{ source, study, matrix, interval, init, index, isScaled: study.image_scale < 1 },
        values: withoutSelf(values, study.class_names.length),
        limit: sharedLimit(overview),
      };
    });
    const looks = JSON.stringify([choices.isShared, this._linked(), this._selected()]);
    if (this._looks !== looks) {
      this._looks = looks;
      this._draw();
    }
  }

  redraw() {
    this._draw();
  }

  destroy() {
    this._requested.destroy();
    this._grid.destroy();
    this._tip.hide();
  }

  /** The chosen image's row: its target in C, its origin in R. */
  _linked() {
    return this._choices.isCellChosen ? [this._choices[this._kind.compared], -1] : null;
  }

  _selected() {
    const { pair } = this._choices;
    return pair?.matrix === this._matrix ? [pair.row, pair.column] : null;
  }

  _fileName() {
    const { study, interval, init, index } = this._requested.value;
    const { name, axis } = this._kind;
    const part = [`${study.intervals[interval]}percent`, `init${init}`];
    return [this._choices.name, name, axis, className(study, index), ...part];
  }

  _draw() {
    const shown = this._requested.value;
    if (!shown) return;
    const { study, index, values, limit } = shown;
    const { name, axis, compared, text } = this._kind;
    const names = classNames(study);
    const end = this._choices.isShared && limit ? limit : largestOf(values) || 1;
    const scale = sequentialScale([0, end], { clipped: largestOf(values) > end });
    this._grid.update({
      title: `${name}, ${text}: ${axis} ${shortName(study, index)}`,
      subtitle: `Two ${compared}s of one ${axis}, made by ${parametrizationOf(study)}; self left out`,
      rows: names,
      columns: names,
      rowTitle: compared,
      columnTitle: `other ${compared}`,
      values,
      scale,
      legendTitle: "dissimilarity, 1 − cos",
      format: (value) => fixed(value, 2),
      describe: (row, column) => this._describe(row, column),
      selected: this._selected(),
      linked: this._linked(),
    });
  }

  _valueAt(row, column) {
    const { study, values } = this._requested.value;
    return values[row * study.class_names.length + column];
  }

  _describe(row, column) {
    const { study, index } = this._requested.value;
    if (row === column) return `${shortName(study, row)} with itself: left out`;
    const [one, other] = prototypesOf(this._matrix, index, row, column);
    const value = this._valueAt(row, column);
    const told = Number.isFinite(value) ? fixed(value, DIGITS) : "none, one did not converge";
    return `${prototypeName(study, ...one)} and ${prototypeName(study, ...other)}: dissimilarity ${told}`;
  }

  _explain(row, column, rect) {
    const shown = this._requested.value;
    const { study, index } = shown;
    const cells = prototypesOf(this._matrix, index, row, column);
    this._onpoint(row === column ? cells.slice(0, 1) : cells);
    const { title, rows } = factsOfPair(this._matrix, shown, row, column, this._valueAt(row, column));
    const note = row === column ? "An image is not compared with itself." : "";
    this._tip.show(rect, shown, captioned(study, row === column ? cells.slice(0, 1) : cells), factsOf(title, rows, note));
  }
}

function captioned(study, cells) {
  return cells.map(([target, origin]) => ({ target, origin, caption: prototypeName(study, target, origin) }));
}

function factsOfPair(matrix, { study, index }, row, column, value) {
  const { name, axis } = KINDS[matrix];
  const places = matrix === "c" ? [row, index, column] : [index, row, column];
  const title = `${name}[${places.map((label) => shortName(study, label)).join(", ")}]`;
  const rows = [[axis, shortName(study, index)]];
  if (row !== column) {
    rows.push(["dissimilarity", Number.isFinite(value) ? fixed(value, DIGITS) : "none: one did not converge"]);
  }
  return { title, rows };
}

/** The chosen cell of a slice: both images, side by side. */
export class PairPanel {
  /** @param {{onopen: function(number, number), onclose: function()}} listeners */
  constructor(container, { onopen, onclose }) {
    this._listeners = { onopen, onclose };
    this._requested = new Requested(() => this._draw(), { what: "The compared images", node: () => this._body });
    this._body = html("div", { class: "pair-body" });
    this.node = html("section", { class: "pair", "aria-label": "Two images compared" }, this._requested.alert, this._body);
    container.append(this.node);
  }

  /** @param {Choices} choices */
  update(choices, source) {
    const { pair, study, interval, init, run, stamp } = choices;
    const index = pair?.matrix === "c" ? choices.origin : choices.target;
    this._requested.want(JSON.stringify([run, stamp, interval, init, index, pair]), async () => {
      if (!pair) return null;
      const cells = prototypesOf(pair.matrix, index, pair.row, pair.column);
      const [values, ...pictures] = await Promise.all([
        source.slice(pair.matrix, interval, init, index),
        ...cells.map((cell) => source.prototype(interval, init, ...cell)),
      ]);
      const value = values[pair.row * study.class_names.length + pair.column];
      return { study, pair, index, cells, pictures, value };
    });
    if (!this._requested.value) this._draw();
  }

  destroy() {
    this._requested.destroy();
  }

  _draw() {
    const shown = this._requested.value;
    this.node.classList.toggle("is-empty", !shown);
    if (!shown) {
      if (this._body.textContent !== DEFINITION) replace(this._body, html("p", { class: "muted", text: DEFINITION }));
      return;
    }
    const { study, pair, cells, pictures, value } = shown;
    const { title, rows } = factsOfPair(pair.matrix, shown, pair.row, pair.column, value);
    const buttons = cells.map((cell, at) =>
      html(
        "button",
        { type: "button", class: "picture", title: "Open", onclick: () => this._listeners.onopen(...cell) },
        enlarged(pictures[at], 96),
        html("span", { text: prototypeName(study, ...cell) }),
      ),
    );
    const close = html("button", {
      type: "button",
      class: "icon",
      "aria-label": "Close the comparison",
      text: "✕",
      onclick: () => this._listeners.onclose(),
    });
    replace(this._body, ...buttons, html("div", { class: "pair-facts" }, ...factsOf(title, rows)), close);
  }
}
