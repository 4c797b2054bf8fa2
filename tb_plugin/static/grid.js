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

const MAX_VECTOR_CELLS = 2500;
const FONT = "Roboto, 'Helvetica Neue', Arial, sans-serif";
const SMALLEST_LABEL = 9;
const LEGEND_WIDTH = 180;
const d3 = globalThis.d3;

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
 * @property {string} [markTitle] What the mark says, for the legend.
 * @property {{url: string, cell: number}} [pictures] A picture of all cells in a row
 *   by row mosaic, instead of values. `url` may be a data or blob address.
 * @property {function(number, number): string} [warn] For pictures: a colour for the
 *   frame of a cell, or null.
 * @property {function(number, number): string} describe Accessible name of a cell.
 * @property {Array<number>} [selected] [row, column]
 * @property {Array<number>} [linked] [row or -1, column or -1], a band to point out.
 * @property {number} [largestCell] Pixels.
 * @property {number} [smallestCell]
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
    this._cellId = uniqueId("cell");
    this._cell = html("div", { role: "gridcell", id: this._cellId });
    this._row = html("div", { role: "row" }, this._cell);
    this._picture = html("div", { class: "grid-picture", "aria-hidden": "true" });
    this.node = html(
      "div",
      {
        class: "grid",
        role: "grid",
        tabindex: "0",
        "aria-activedescendant": this._cellId,
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
      this._tellFocus();
    } else if (event.key === "Enter" || event.key === " ") {
      event.preventDefault();
      this._listeners.onopen?.(...this._focus);
    } else if (event.key === "Escape") {
      this._listeners.onleave?.();
    }
  }

  _scrollIntoView() {
    const rect = this.rectOf(...this._focus);
    if (rect.top < 0) scrollBy(0, rect.top - 40);
    else if (rect.bottom > innerHeight) scrollBy(0, rect.bottom - innerHeight + 40);
  }

  _describeFocus() {
    const [row, column] = this._focus;
    this._row.setAttribute("aria-rowindex", row + 1);
    this._cell.setAttribute("aria-colindex", column + 1);
    this._cell.textContent = this._content.describe(row, column);
  }

  _markCells() {
    if (!this._marks || !this._content) return;
    const colours = palette();
    const { left, top, width, height } = this._plot;
    const { rows, columns, selected, linked } = this._content;
    const outline = (row, column, spanRows, spanColumns, stroke, thickness) =>
      svg("rect", {
        x: left + column * width,
        y: top + row * height,
        width: width * spanColumns,
        height: height * spanRows,
        fill: "none",
        stroke,
        "stroke-width": thickness,
      });
    const marks = [];
    if (linked && linked[0] >= 0) {
      marks.push(outline(linked[0], 0, 1, columns.length, colours.series[1], 2));
    }
    if (linked && linked[1] >= 0) {
      marks.push(outline(0, linked[1], rows.length, 1, colours.series[1], 2));
    }
    if (selected) marks.push(outline(...selected, 1, 1, colours.focus, 3));
    if (this._hasFocus) marks.push(outline(...this._focus, 1, 1, colours.focus, 2));
    if (this._hover) marks.push(outline(...this._hover, 1, 1, colours.text, 1.5));
    replace(this._marks, ...marks);
    const pointed = this._hover ?? (this._hasFocus ? this._focus : null);
    replace(this._hoverLabels, ...(pointed ? this._pointedLabels(pointed, colours) : []));
  }

  /** Labels of the row and column pointed at, over the faint or missing ones. */
  _pointedLabels([row, column], colours) {
    const { left, top, width, height } = this._plot;
    const { rows, columns } = this._content;
    const halo = { stroke: colours.background, "stroke-width": 4, "paint-order": "stroke" };
    return [
      svg("text", {
        x: left - 6,
        y: top + (row + 0.5) * height,
        "text-anchor": "end",
        "dominant-baseline": "central",
        "font-weight": "bold",
        text: shorten(rows[row]),
        ...halo,
      }),
      columnLabel(shorten(columns[column]), left + (column + 0.5) * width, top - 6, {
        "font-weight": "bold",
        ...halo,
      }),
    ];
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

/** Class names are anybody's: long ones are cut. */
export function shorten(name, longest = 18) {
  const letters = Array.from(String(name));
  return letters.length > longest ? `${letters.slice(0, longest - 1).join("")}…` : letters.join("");
}

function measure(content, available) {
  const longest = (labels) => Math.max(1, ...labels.map((label) => Array.from(shorten(label)).length));
  const rowSpace = 26 + 6.6 * longest(content.rows);
  const columnSpace = 30 + 4.7 * longest(content.columns);
  const head = content.pictures ? 24 : 58;
  const subtitle = content.subtitle ? 16 : 0;
  const rightSpace = 4 + 3.4 * longest(content.columns.slice(-1));
  const room = (available - rowSpace - rightSpace) / content.columns.length;
  const largest = content.largestCell ?? 44;
  const smallest = content.smallestCell ?? 3;
  let width = Math.max(smallest, Math.min(largest, room));
  // Whole pixels stay crisp, where there is room for them.
  if (width >= 4) width = Math.floor(width);
  const height = content.pictures ? width : Math.min(width, content.largestHeight ?? width);
  const left = Math.round(rowSpace);
  const top = Math.round(head + subtitle + columnSpace);
  const widest = Math.max(left + width * content.columns.length + rightSpace, 330);
  return {
    plot: { left, top, width, height },
    subtitle,
    width: Math.ceil(widest),
    height: Math.ceil(top + height * content.rows.length + 6),
  };
}

function drawHead(content, layout, colours) {
  const head = [
    svg("text", { x: 4, y: 16, "font-size": 14, "font-weight": "bold", text: content.title }),
  ];
  if (content.subtitle) {
    head.push(svg("text", { x: 4, y: 33, fill: colours.muted, text: content.subtitle }));
  }
  if (content.scale) head.push(drawLegend(content, 24 + layout.subtitle, colours));
  return head;
}

function drawLegend(content, y, colours) {
  const { scale, format } = content;
  const [low, high] = scale.domain;
  const steps = 48;
  const group = svg("g", { transform: `translate(4, ${y})` });
  for (let step = 0; step < steps; step += 1) {
    const value = low + ((step + 0.5) / steps) * (high - low);
    group.append(
      svg("rect", {
        x: (step * LEGEND_WIDTH) / steps,
        y: 0,
        width: LEGEND_WIDTH / steps + 0.5,
        height: 9,
        fill: scale.colour(value),
      }),
    );
  }
  const ticks = scale.isSigned ? [low, 0, high] : [low, (low + high) / 2, high];
  ticks.forEach((tick, index) => {
    const beyond = scale.clipped && index !== 1 && (scale.isSigned || index === 2);
    const sign = beyond ? (index === 0 ? "≤ " : "≥ ") : "";
    group.append(
      svg("text", {
        x: (index * LEGEND_WIDTH) / 2,
        y: 21,
        "font-size": 10,
        fill: colours.muted,
        "text-anchor": ["start", "middle", "end"][index],
        text: sign + format(tick),
      }),
    );
  });
  group.append(
    svg("text", { x: LEGEND_WIDTH + 10, y: 8, "font-size": 11, text: content.legendTitle }),
  );
  if (content.markTitle) {
    group.append(
      svg("circle", { cx: LEGEND_WIDTH + 14, cy: 17.5, r: 3, fill: colours.text }),
      svg("text", {
        x: LEGEND_WIDTH + 22,
        y: 21,
        "font-size": 11,
        fill: colours.muted,
        text: content.markTitle,
      }),
    );
  }
  return group;
}

function columnLabel(text, x, y, properties = {}) {
  return svg("text", {
    x,
    y,
    transform: `rotate(-45 ${x} ${y})`,
    "text-anchor": "start",
    text,
    ...properties,
  });
}

function drawAxes(content, layout, colours) {
  const { left, top, width, height } = layout.plot;
  const group = svg("g", { fill: colours.text });
  const every = (size) => Math.max(1, Math.ceil(SMALLEST_LABEL / size));
  const fontSize = (size) => Math.max(SMALLEST_LABEL, Math.min(12, size * 0.95));
  content.rows.forEach((label, row) => {
    if (row % every(height)) return;
    group.append(
      svg("text", {
        x: left - 6,
        y: top + (row + 0.5) * height,
        "text-anchor": "end",
        "dominant-baseline": "central",
        "font-size": fontSize(height),
        text: shorten(label),
      }),
    );
  });
  content.columns.forEach((label, column) => {
    if (column % every(width)) return;
    group.append(
      columnLabel(shorten(label), left + (column + 0.5) * width, top - 6, {
        "font-size": fontSize(width),
      }),
    );
  });
  const middle = top + (height * content.rows.length) / 2;
  group.append(
    svg("text", {
      x: 12,
      y: middle,
      transform: `rotate(-90 12 ${middle})`,
      "text-anchor": "middle",
      fill: colours.muted,
      text: content.rowTitle,
    }),
    svg("text", {
      x: left,
      y: top - 14 - 4.7 * Math.max(...content.columns.map((label) => Array.from(shorten(label)).length)),
      fill: colours.muted,
      text: content.columnTitle,
    }),
  );
  return group;
}

function drawCells(group, content, { left, top, width, height }, colours) {
  const gap = width >= 12 ? 1 : 0;
  const canHoldText = content.format && width >= 34 && height >= 18;
  content.rows.forEach((_, row) => {
    content.columns.forEach((__, column) => {
      const value = content.values[row * content.columns.length + column];
      const x = left + column * width;
      const y = top + row * height;
      const isKnown = Number.isFinite(value);
      group.append(
        svg("rect", {
          x,
          y,
          width: width - gap,
          height: height - gap,
          fill: isKnown ? content.scale.colour(value) : colours.empty,
        }),
      );
      if (!isKnown) {
        group.append(
          svg("path", {
            d: `M${x + width * 0.35},${y + height * 0.65}L${x + width * 0.65},${y + height * 0.35}`,
            stroke: colours.rule,
            "stroke-width": 1,
          }),
        );
        return;
      }
      const ink = content.scale.ink(value);
      if (canHoldText) {
        group.append(
          svg("text", {
            x: x + width / 2,
            y: y + height / 2,
            "text-anchor": "middle",
            "dominant-baseline": "central",
            "font-size": 10.5,
            fill: ink,
            text: content.format(value),
          }),
        );
      }
      if (content.isMarked?.(row, column)) {
        group.append(
          svg("circle", {
            cx: canHoldText ? x + width - 6 : x + width / 2,
            cy: canHoldText ? y + 5.5 : y + height / 2,
            r: Math.max(1.2, Math.min(2.8, width / 7)),
            fill: ink,
          }),
        );
      }
    });
  });
}

function drawPixels(group, content, { left, top, width, height }, colours) {
  const rows = content.rows.length;
  const columns = content.columns.length;
  const canvas = html("canvas", { width: columns, height: rows });
  const context = canvas.getContext("2d");
  const image = context.createImageData(columns, rows);
  const empty = d3.rgb(colours.empty);
  // A table of colours: a formula for each of many cells would be slow.
  const [low, high] = content.scale.domain;
  const table = Array.from({ length: 256 }, (_, step) =>
    d3.rgb(content.scale.colour(low + (step / 255) * (high - low))),
  );
  for (let index = 0; index < rows * columns; index += 1) {
    const value = content.values[index];
    const step = Math.round((255 * (value - low)) / (high - low));
    const { r, g, b } = Number.isFinite(value) ? table[Math.min(255, Math.max(0, step))] : empty;
    image.data.set([r, g, b, 255], 4 * index);
  }
  context.putImageData(image, 0, 0);
  group.append(
    svg("image", {
      href: canvas.toDataURL(),
      x: left,
      y: top,
      width: width * columns,
      height: height * rows,
      preserveAspectRatio: "none",
      style: "image-rendering: pixelated",
    }),
  );
  if (!content.isMarked) return;
  const radius = Math.max(0.8, Math.min(2.8, width / 6));
  for (let row = 0; row < rows; row += 1) {
    for (let column = 0; column < columns; column += 1) {
      const value = content.values[row * columns + column];
      if (!Number.isFinite(value) || !content.isMarked(row, column)) continue;
      group.append(
        svg("circle", {
          cx: left + (column + 0.5) * width,
          cy: top + (row + 0.5) * height,
          r: radius,
          fill: content.scale.ink(value),
        }),
      );
    }
  }
}

function drawPictures(group, content, { left, top, width, height }) {
  group.append(
    svg("image", {
      href: content.pictures.url,
      x: left,
      y: top,
      width: width * content.columns.length,
      height: height * content.rows.length,
      preserveAspectRatio: "none",
      style: width > content.pictures.cell ? "image-rendering: pixelated" : "",
    }),
  );
  content.rows.forEach((_, row) => {
    content.columns.forEach((__, column) => {
      const stroke = content.warn?.(row, column);
      if (!stroke) return;
      group.append(
        svg("rect", {
          x: left + column * width + 1,
          y: top + row * height + 1,
          width: width - 2,
          height: height - 2,
          fill: "none",
          stroke,
          "stroke-width": 1.5,
          "stroke-dasharray": "3 2",
        }),
      );
    });
  });
}
