/** A chart of lines over training intervals, with bands that say what they are. */

import { palette } from "./colours.js";
import { html, replace, svg } from "./dom.js";
import { textWidth } from "./grid_frame.js";
import { factsOf, hideTooltip, showTooltip } from "./tooltip.js";

const FONT = "Roboto, 'Helvetica Neue', Arial, sans-serif";
const DASHES = ["", "6 3", "2 3", "8 3 2 3"];
const MARKERS = [d3Symbol("symbolCircle"), d3Symbol("symbolSquare"), d3Symbol("symbolTriangle")];
const HEIGHT = 230;
const MARKER_SPACE = 16; // before a direct label

function d3Symbol(name) {
  return globalThis.d3.symbol(globalThis.d3[name], 34)();
}

/**
 * @typedef {Object} LinesContent
 * @property {string} title
 * @property {string} note Under the title: what the bands are, and n.
 * @property {string} xTitle
 * @property {string} yTitle
 * @property {Array<number>} x Rising.
 * @property {Array<{name: string, values: Array<number|null>, low?: Array<number|null>,
 *   high?: Array<number|null>}>} series `low` and `high` are the ends of the band.
 * @property {[number, number]} [yDomain] Taken from the data where it is left out.
 * @property {number} [selected] Index into `x`.
 * @property {function(number): string} format Of values.
 */

/** A chart in a container of the page; give it content with `update`. */
export class Lines {
  /**
   * @param {HTMLElement} container
   * @param {{onselect?: function(number)}} listeners Told the index of the chosen x.
   */
  constructor(container, { onselect } = {}) {
    this._onselect = onselect;
    this.node = html("div", {
      class: "lines",
      role: "group",
      tabindex: "0",
      onkeydown: (event) => this._onKey(event),
      onblur: () => hideTooltip(),
    });
    container.append(this.node);
    this._observer = new ResizeObserver(() => this._draw());
    this._observer.observe(this.node);
  }

  /** Shows content. */
  update(content) {
    this._content = content;
    this.node.setAttribute("aria-label", describe(content));
    this._drawnWidth = null;
    this._draw();
  }

  /** The drawing, to be saved as a file. */
  get svg() {
    return this._svg;
  }

  destroy() {
    this._observer.disconnect();
    this.node.remove();
  }

  _onKey(event) {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!step || !this._content || event.altKey || event.metaKey) return;
    event.preventDefault();
    const last = this._content.x.length - 1;
    const from = this._content.selected ?? last;
    const index = Math.min(last, Math.max(0, from + step));
    this._onselect?.(index);
    this._explain(index);
  }

  _draw() {
    const width = Math.floor(this.node.clientWidth);
    if (!this._content || width === 0 || width === this._drawnWidth) return;
    this._drawnWidth = width;
    const { d3 } = globalThis;
    const content = this._content;
    const colours = palette();
    const widest = Math.max(0, ...content.series.map((one) => textWidth(one.name, 11, "bold")));
    const margin = { left: 52, right: Math.max(92, widest + MARKER_SPACE + 8), top: 46, bottom: 40 };
    const known = content.series
      .flatMap((one) => [...one.values, ...(one.low ?? []), ...(one.high ?? [])])
      .filter((value) => value !== null && Number.isFinite(value));
    const y = d3
      .scaleLinear()
      .domain(content.yDomain ?? (known.length ? d3.extent(known) : [0, 1]))
      .nice(5)
      .range([HEIGHT - margin.bottom, margin.top]);
    const pad = 10;
    const x = d3
      .scaleLinear()
      .domain(content.x.length > 1 ? d3.extent(content.x) : [content.x[0] - 1, content.x[0] + 1])
      .range([margin.left + pad, Math.max(margin.left + 60, width - margin.right - pad)]);
    this._x = x;
    this._svg = svg("svg", {
      width,
      height: HEIGHT,
      viewBox: `0 0 ${width} ${HEIGHT}`,
      "font-family": FONT,
      "font-size": 11,
      fill: colours.text,
    });
    this._svg.append(
      svg("text", { x: 4, y: 16, "font-size": 14, "font-weight": "bold", text: content.title }),
      svg("text", { x: 4, y: 32, fill: colours.muted, text: content.note }),
      axes(content, x, y, width, margin, colours),
    );
    if (content.selected !== undefined && content.selected !== null) {
      const at = x(content.x[content.selected]);
      this._svg.append(
        svg("line", {
          ...{ class: "interactive", x1: at, x2: at },
          y1: margin.top,
          y2: HEIGHT - margin.bottom,
          ...{ stroke: colours.muted, "stroke-width": 1, "stroke-dasharray": "3 3" },
        }),
      );
    }
    content.series.forEach((one, index) => this._svg.append(series(one, index, content.x, x, y, colours)));
    this._svg.append(directLabels(content, x, y, width - margin.right, colours));
    this._svg.append(
      svg("rect", {
        class: "interactive surface",
        x: margin.left,
        y: margin.top,
        width: Math.max(0, width - margin.left - margin.right),
        height: HEIGHT - margin.top - margin.bottom,
        fill: "transparent",
        onpointermove: (event) => this._explain(this._indexAt(event)),
        onpointerleave: () => hideTooltip(),
        onclick: (event) => this._onselect?.(this._indexAt(event)),
      }),
    );
    replace(this.node, this._svg);
  }

  _indexAt(event) {
    const at = event.clientX - this._svg.getBoundingClientRect().left;
    const distances = this._content.x.map((value) => Math.abs(this._x(value) - at));
    return distances.indexOf(Math.min(...distances));
  }

  _explain(index) {
    const { x, series: all, format, xTitle } = this._content;
    const rows = all.map((one) => {
      const band = one.low ? ` (${format(one.low[index])} to ${format(one.high[index])})` : "";
      return [one.name, format(one.values[index]) + band];
    });
    const box = this._svg.getBoundingClientRect();
    const rect = new DOMRect(box.left + this._x(x[index]) - 4, box.top + 60, 8, 60);
    showTooltip(rect, ...factsOf(`${xTitle}: ${x[index]}`, rows));
  }
}

function axes(content, x, y, width, margin, colours) {
  const group = svg("g", { fill: colours.muted });
  for (const tick of y.ticks(5)) {
    group.append(
      svg("line", {
        ...{ x1: margin.left, x2: width - margin.right, y1: y(tick), y2: y(tick) },
        ...{ stroke: colours.rule, "stroke-width": 0.6 },
      }),
      svg("text", {
        x: margin.left - 6,
        y: y(tick),
        "text-anchor": "end",
        "dominant-baseline": "central",
        text: y.tickFormat(5)(tick),
      }),
    );
  }
  content.x.forEach((value, index) => {
    const isSelected = index === content.selected;
    group.append(
      svg("text", {
        x: x(value),
        y: HEIGHT - margin.bottom + 15,
        "text-anchor": "middle",
        "font-weight": isSelected ? "bold" : null,
        fill: isSelected ? colours.text : null,
        text: value,
      }),
    );
  });
  const middle = (margin.top + HEIGHT - margin.bottom) / 2;
  group.append(
    svg("text", {
      x: (margin.left + width - margin.right) / 2,
      y: HEIGHT - 8,
      "text-anchor": "middle",
      text: content.xTitle,
    }),
    svg("text", {
      x: 12,
      y: middle,
      transform: `rotate(-90 12 ${middle})`,
      "text-anchor": "middle",
      text: content.yTitle,
    }),
  );
  return group;
}

function isKnown(value) {
  return value !== null && value !== undefined && Number.isFinite(value);
}

function series(one, index, xs, x, y, colours) {
  const { d3 } = globalThis;
  const colour = colours.series[index % colours.series.length];
  const group = svg("g");
  const points = xs.map((value, position) => ({
    x: x(value),
    value: one.values[position],
    low: one.low?.[position],
    high: one.high?.[position],
  }));
  if (one.low) {
    const area = d3
      .area()
      .defined((point) => isKnown(point.low) && isKnown(point.high))
      .x((point) => point.x)
      .y0((point) => y(point.low))
      .y1((point) => y(point.high));
    group.append(svg("path", { d: area(points) ?? "", fill: colour, "fill-opacity": 0.18 }));
  }
  const line = d3
    .line()
    .defined((point) => isKnown(point.value))
    .x((point) => point.x)
    .y((point) => y(point.value));
  group.append(
    svg("path", {
      d: line(points) ?? "",
      fill: "none",
      stroke: colour,
      "stroke-width": 2,
      "stroke-dasharray": DASHES[index % DASHES.length] || null,
    }),
  );
  for (const point of points) {
    if (!isKnown(point.value)) continue;
    group.append(
      svg("path", {
        d: MARKERS[index % MARKERS.length],
        transform: `translate(${point.x}, ${y(point.value)})`,
        fill: colour,
      }),
    );
  }
  return group;
}

/** Names at the ends of the lines, moved apart where they would overlap. */
function directLabels(content, x, y, right, colours) {
  const labels = content.series
    .map((one, index) => {
      const values = one.values.filter(isKnown);
      return { name: one.name, index, at: values.length ? y(values[values.length - 1]) : null };
    })
    .filter((label) => label.at !== null)
    .sort((a, b) => a.at - b.at);
  for (let index = 1; index < labels.length; index += 1) {
    labels[index].at = Math.max(labels[index].at, labels[index - 1].at + 14);
  }
  const group = svg("g");
  for (const label of labels) {
    group.append(
      // The colour alone would be too pale for text.
      svg("path", {
        d: MARKERS[label.index % MARKERS.length],
        transform: `translate(${right + MARKER_SPACE / 2}, ${label.at})`,
        fill: colours.series[label.index % colours.series.length],
      }),
      svg("text", { x: right + MARKER_SPACE, y: label.at, "dominant-baseline": "central", "font-weight": "bold", text: label.name }),
    );
  }
  return group;
}

function describe(content) {
  const told = content.series.map((one) => {
    const values = one.values.filter(isKnown);
    if (values.length === 0) return `${one.name}: no values`;
    return `${one.name}: ${content.format(values[0])} to ${content.format(values[values.length - 1])}`;
  });
  return `${content.title}. ${content.note} ${told.join("; ")}. Left and right arrow keys choose.`;
}
