/**
 * A matrix of cells: a heat map, or a grid of pictures.
 *
 * Everything is drawn into one SVG with its title, axes and legend, and every colour is
 * an attribute, so that the SVG can be saved as it is. Cells are rectangles up to
 * MAX_VECTOR_CELLS, above that one picture of a pixel a cell. For assistive technology
 * and the keyboard it is a grid with one stop: arrow keys, Home, End, Page Up and Down
 * move, Enter opens.
 */

import { palette } from "./colours.js";
import { html, replace, svg, uniqueId } from "./dom.js";
import { drawCells, drawPictures, drawPixels, drawRules } from "./grid_cells.js";
import { drawAxes, drawHead, measure, shorten } from "./grid_frame.js";
import { drawLabels, drawMarks } from "./grid_marks.js";

export { shorten };

const MAX_VECTOR_CELLS = 2500;
const FONT = "Roboto, 'Helvetica Neue', Arial, sans-serif";

/**
 * @typedef {Object} GridContent
 * @property {string} title Names what is shown; also the grid's accessible name.
 * @property {string} [subtitle]
 * @property {Array<string>} rows Labels of the rows.
 * @property {Array<string>} columns
 * @property {string} rowTitle What a row is.
 * @property {string} columnTitle
 * @property {ArrayLike<number>} [values] rows x columns, NaN where there is none.
 * @property {Scale} [scale] Of the values, see colours.js.
 * @property {string} [legendTitle] The measure with its unit.
 * @property {function(number): string} [format] Of values in cells and legend.
 * @property {function(number, number): boolean} [isMarked] Whether a cell has a mark.
 * @property {function(number, number): boolean} [isAside] Whether a cell is no part of
 *   the scale: grey, with its number.
 * @property {string} [markTitle] What the mark says, for the legend.
 * @property {boolean} [hasMark] False where `markTitle` says why there are no marks.
 * @property {Array<number>} [rowRules] Rows before which a thin line is drawn.
 * @property {{url: string, cell: number, aspect?: number}} [pictures] A picture of all
 *   cells in a row by row mosaic, instead of values; `cell` is the width of one of them,
 *   `aspect` their height over their width. `url` may be a data or blob address.
 * @property {function(number, number): string} [warn] For pictures: a colour for the
 *   frame of a cell, or null.
 * @property {function(number, number): string} describe Accessible name of a cell.
 * @property {Array<number>} [selected] [row, column]
 * @property {Array<number>} [linked] [row or -1, column or -1], a band to point out.
 * @property {{rows: Array<number>, columns: Array<number>}} [found] Rows and columns that
 *   the reader looked for.
 * @property {number} [labelSize] Of rows and columns, pixels.
 * @property {number} [largestCell] Pixels.
 * @property {number} [smallestCell]
 * @property {number} [largestHeight] Pixels, where cells may be wider than high.
 */

/** A grid in a container of the page; give it content with `update`. */
export class Grid {
  /**
   * @param {HTMLElement} container
   * @param {{onhover?: function(number, number, DOMRect), onleave?: function(),
   *   onopen?: function(number, number), onfocus?: function(number, number)}} listeners
   *   `onhover` is called for the pointer and for the keyboard alike.
   */
  constructor(container, listeners = {}) {
    this._listeners = listeners;
    this._content = null;
    this._focus = [0, 0];
    this._hasFocus = false;
    this._pointed = [];
    this._row = html("div", { role: "row" });
    this._picture = html("div", { class: "grid-picture", "aria-hidden": "true" });
    this.node = html(
      "div",
      {
        class: "grid",
        role: "grid",
        tabindex: "0",
        onkeydown: (event) => this._onKey(event),
        onfocus: () => this._onFocus(true),
        onblur: () => this._onFocus(false),
      },
      this._picture,
      html("div", { class: "visually-hidden", role: "rowgroup" }, this._row),
    );
    container.append(this.node);
    // A hidden frame has no width: drawn when it is shown.
    this._observer = new ResizeObserver(() => this._draw());
    this._observer.observe(this.node);
  }

  /** Shows content; keeps the focused cell. */
  update(content) {
    this._content = content;
    const [row, column] = this._focus;
    this._focus = [
      Math.min(row, content.rows.length - 1),
      Math.min(column, content.columns.length - 1),
    ];
    this.node.setAttribute("aria-label", content.title);
    this.node.setAttribute("aria-rowcount", content.rows.length);
    this.node.setAttribute("aria-colcount", content.columns.length);
    this._drawnWidth = null;
    this._draw();
  }

  /** Shows other pictures in the same cells, and draws nothing else again. */
  showPictures(url, subtitle) {
    const { pictures } = this._content;
    this._content = { ...this._content, subtitle, pictures: { ...pictures, url } };
    this._svg?.querySelector(".cells > image").setAttribute("href", url);
    if (this._svg) this._svg.querySelector(".subtitle").textContent = subtitle;
  }

  /** The drawing, to be saved as a file. */
  get svg() {
    return this._svg;
  }

  /** Moves the keyboard's cell without telling anybody. */
  moveTo(row, column) {
    if (!this._content) return;
    this._focus = [row, column];
    this._describeFocus();
    this._markCells();
  }

  /** Points out some cells, [row, column] each, until it is called again. */
  point(cells) {
    this._pointed = cells;
    this._markCells();
  }

  /** Rectangle of a cell on the page. */
  rectOf(row, column) {
    const box = this._svg.getBoundingClientRect();
    const { left, top, width, height } = this._plot;
    return new DOMRect(box.left + left + column * width, box.top + top + row * height, width, height);
  }

  destroy() {
    this._observer.disconnect();
    this.node.remove();
  }

  _draw() {
    const content = this._content;
    const available = Math.floor(this.node.clientWidth);
    if (!content || available === 0 || available === this._drawnWidth) return;
    this._drawnWidth = available;
    const colours = palette();
    const layout = measure(content, available);
    this._plot = layout.plot;
    const { left, top, width, height } = layout.plot;
    const cells = svg("g", { class: "cells" });
    if (content.pictures) drawPictures(cells, content, layout.plot, colours);
    else if (content.rows.length * content.columns.length <= MAX_VECTOR_CELLS) {
      drawCells(cells, content, layout.plot, colours);
    } else drawPixels(cells, content, layout.plot, colours);
    drawRules(cells, content, layout.plot, colours);
    this._marks = svg("g", { class: "interactive", "pointer-events": "none" });
    this._hoverLabels = svg("g", { class: "interactive", "pointer-events": "none" });
    const surface = svg("rect", {
      class: "interactive surface",
      x: left,
      y: top,
      width: width * content.columns.length,
      height: height * content.rows.length,
      fill: "transparent",
      onpointermove: (event) => this._onPointer(event),
      onpointerleave: () => this._onLeave(),
      onclick: (event) => this._onClick(event),
    });
    this._svg = svg(
      "svg",
      {
        width: layout.width,
        height: layout.height,
        viewBox: `0 0 ${layout.width} ${layout.height}`,
        "font-family": FONT,
        "font-size": 12,
        fill: colours.text,
      },
      ...drawHead(content, layout, colours),
      drawAxes(content, layout, colours),
      cells,
      this._hoverLabels,
      this._marks,
      surface,
    );
    replace(this._picture, this._svg);
    this._describeFocus();
    this._markCells();
  }

  _at(event) {
    const box = this._svg.getBoundingClientRect();
    const { left, top, width, height } = this._plot;
    const column = Math.floor((event.clientX - box.left - left) / width);
    const row = Math.floor((event.clientY - box.top - top) / height);
    const { rows, columns } = this._content;
    if (row < 0 || column < 0 || row >= rows.length || column >= columns.length) return null;
    return [row, column];
  }

  _onPointer(event) {
    const at = this._at(event);
    if (!at) return this._onLeave();
    if (this._hover && at[0] === this._hover[0] && at[1] === this._hover[1]) return undefined;
    this._hover = at;
    this._markCells();
    this._listeners.onhover?.(at[0], at[1], this.rectOf(...at));
    return undefined;
  }

  _onLeave() {
    this._hover = null;
    this._markCells();
    this._listeners.onleave?.();
  }

  _onClick(event) {
    const at = this._at(event);
    if (!at) return;
    this._focus = at;
    this._describeFocus();
    this.node.focus({ preventScroll: true });
    this._listeners.onopen?.(...at);
  }

  _onFocus(hasFocus) {
    // A click focuses too, without a cell to announce.
    this._hasFocus = hasFocus && this.node.matches(":focus-visible");
    this._markCells();
    if (this._hasFocus) this._tellFocus();
    else if (!hasFocus) this._listeners.onleave?.();
  }

  _tellFocus() {
    this._listeners.onfocus?.(...this._focus);
    this._listeners.onhover?.(...this._focus, this.rectOf(...this._focus));
  }

  _onKey(event) {
    if (!this._content || event.altKey || event.metaKey) return;
    const next = moved(event, this._focus, this._content.rows.length, this._content.columns.length);
    if (next) {
      event.preventDefault();
      this._hasFocus = true;
      this._hover = null;
      this._focus = next;
      this._describeFocus();
      this._markCells();
      this._scrollIntoView();
      // After the page's scroll event, at which tooltips hide.
      requestAnimationFrame(() => requestAnimationFrame(() => this._hasFocus && this._tellFocus()));
    } else if (event.key === "Enter" || event.key === " ") {
      event.preventDefault();
      this._listeners.onopen?.(...this._focus);
    } else if (event.key === "Escape") {
      this._listeners.onleave?.();
    }
  }

  _scrollIntoView() {
    const rect = this.rectOf(...this._focus);
    // Controls may stay at the top of the page.
    const bar = document.querySelector(".prototype-bar");
    const isSticky = bar && getComputedStyle(bar).position === "sticky";
    const top = 8 + (isSticky ? bar.getBoundingClientRect().height : 0);
    const frame = this.node.getBoundingClientRect();
    if (rect.left < frame.left + this._plot.left) this.node.scrollLeft -= frame.left + this._plot.left - rect.left;
    else if (rect.right > frame.right) this.node.scrollLeft += rect.right - frame.right;
    if (rect.top < top) scrollBy(0, rect.top - top - 40);
    else if (rect.bottom > innerHeight) scrollBy(0, rect.bottom - innerHeight + 40);
  }

  _describeFocus() {
    const [row, column] = this._focus;
    // Another element with another id: a screen reader tells of a new one only.
    const cell = html("div", {
      role: "gridcell",
      id: uniqueId("cell"),
      "aria-colindex": column + 1,
      text: this._content.describe(row, column),
    });
    this._row.setAttribute("aria-rowindex", row + 1);
    replace(this._row, cell);
    this.node.setAttribute("aria-activedescendant", cell.id);
  }

  _markCells() {
    if (!this._marks || !this._content) return;
    const [only] = this._pointed.length === 1 ? this._pointed : [];
    const focus = this._hasFocus ? this._focus : null;
    const labelled = this._hover ?? only ?? focus;
    const marked = { pointed: this._pointed, focus, hover: this._hover };
    replace(this._marks, ...drawMarks(this._content, this._plot, marked));
    replace(this._hoverLabels, ...drawLabels(this._content, this._plot, labelled ?? [-1, -1]));
  }
}

/** Where a key moves to in a grid of rows x columns, or null. */
function moved(event, [row, column], rows, columns) {
  const page = Math.max(1, Math.round(rows / 5));
  const targets = {
    ArrowUp: [row - 1, column],
    ArrowDown: [row + 1, column],
    ArrowLeft: [row, column - 1],
    ArrowRight: [row, column + 1],
    PageUp: [row - page, column],
    PageDown: [row + page, column],
    Home: [event.ctrlKey ? 0 : row, 0],
    End: [event.ctrlKey ? rows - 1 : row, columns - 1],
  };
  const target = targets[event.key];
  if (!target) return null;
  return [
    Math.min(rows - 1, Math.max(0, target[0])),
    Math.min(columns - 1, Math.max(0, target[1])),
  ];
}
