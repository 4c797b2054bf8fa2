/**
 * A dot plot: every single network of two groups, with mean and confidence interval; bars
 * of a group of too many.
 */

import { barsOf, drawBars, explainBar, intervalOf, knownValues } from "./bars.js";
import { palette } from "./colours.js";
import { html, replace, svg } from "./dom.js";
import { shorten, textWidth } from "./grid_frame.js";
import { fixed, percent } from "./numbers.js";
import { swarm } from "./swarm.js";
import { factsOf, hideTooltip, showTooltip } from "./tooltip.js";

const FONT = "Roboto, 'Helvetica Neue', Arial, sans-serif";
const LINE = 15;
const TITLE_LINE = 17;
const NAME = 7; // between the name of a group and its dots
const LONGEST_WORD = 40; // letters
// Another machine may write a saved picture with another font.
const SHARE_OF_ROOM = 0.95;
const BAR = 16; // below them
const FOOT = 44;
const MARGIN = 14;
const LEAST_HEIGHT = 36;
const MANY = 600; // networks of a group: it may be higher
const SEEN = 2.5;
const REACH = 12;
const LEGEND = "mean with its 95 % CI (Student's t, networks taken as independent)";
const LEGEND_TEXT = 148;
const GROUP_TEXT = 18;
const BUTTONS = 150; // pixels beside the title, where files are saved
const MOST_LINES = 3;
const d3 = globalThis.d3;

/**
 * @typedef {Object} DotsContent
 * @property {string} title
 * @property {string} subtitle
 * @property {string} xTitle
 * @property {Array<{label: string, networks: Array<{value: number, pair: string,
 *   repeat: number}>, bins: Array<Array<number>>|null}>} groups As of `confusion/cell`.
 * @property {[number, number]} [domain] Shares; from the values where it is left out.
 */

/**
 * Where all dots of some cells lie, shares, with the intervals of the means as far as
 * they are not much wider; null where there are none.
 */
export function domainOf(groups) {
  const values = groups.flatMap(knownValues);
  if (values.length === 0) return null;
  const [low, high] = d3.extent(values);
  const room = 0.5 * (high - low);
  const ends = groups.flatMap((group) => {
    const interval = intervalOf(group);
    if (!interval || !Number.isFinite(interval.margin)) return [];
    return [
      Math.max(low - room, interval.mean - interval.margin),
      Math.min(high + room, interval.mean + interval.margin),
    ];
  });
  const [first, last] = d3.extent([...values, ...ends]);
  const pad = Math.max(0.002, 0.03 * (last - first));
  return [first - pad, last + pad];
}

/** A dot plot in a container of the page; give it content with `update`. */
export class Dots {
  constructor(container) {
    this.node = html("div", {
      class: "dots",
      role: "img",
      onpointermove: (event) => this._explain(event),
      onpointerleave: () => this._leave(),
    });
    container.append(this.node);
    this._observer = new ResizeObserver(() => this._draw());
    this._observer.observe(this.node);
  }

  update(content) {
    this._content = content;
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

  _draw() {
    const width = Math.floor(this.node.clientWidth);
    if (!this._content || width === 0 || width === this._drawnWidth) return;
    this._drawnWidth = width;
    const content = this._content;
    const colours = palette();
    const domain = content.domain ?? domainOf(content.groups) ?? [0, 1];
    const x = d3.scaleLinear(domain, [MARGIN, width - MARGIN]);
    const sizes = content.groups.map((group) => groupOf(group, x).radius);
    // Dots of both groups are of one size, as long as those of a small group are seen.
    const size = Math.max(SEEN, Math.min(...sizes));
    const groups = content.groups.map((group) => groupOf(group, x, size));
    const title = linesOf(content.title, width - BUTTONS, { size: 14, weight: "bold" });
    const subtitle = linesOf(content.subtitle, width - 8);
    const legend = linesOf(LEGEND, width - LEGEND_TEXT - 4, { size: 11 });
    const xTitle = linesOf(content.xTitle, width - 8);
    const subtitleY = 16 + TITLE_LINE * title.length;
    const legendY = subtitleY + LINE * subtitle.length;
    let top = legendY + LINE * legend.length - 3;
    for (const group of groups) {
      group.y = top + 13;
      group.name = linesOf(group.label, width - GROUP_TEXT - 4, { weight: "bold" });
      group.top = top + LINE * (group.name.length + 1) + NAME;
      top = group.top + group.height + BAR;
    }
    const height = top + FOOT + LINE * (xTitle.length - 1);
    this._groups = groups;
    this._dots = groups.flatMap((group) => group.dots(group.top + group.height / 2));
    this._tree = d3.quadtree(this._dots, (dot) => dot.x, (dot) => dot.y);
    this._ring = svg("circle", { class: "interactive", fill: "none", stroke: colours.text, "stroke-width": 2, r: 0 });
    const tones = [colours.series[1], colours.series[0]];
    this._svg = svg(
      "svg",
      { width, height, viewBox: `0 0 ${width} ${height}`, "font-family": FONT, "font-size": 12, fill: colours.text },
      ...drawLines(title, { x: 4, y: 16, "font-size": 14, "font-weight": "bold" }, TITLE_LINE),
      ...drawLines(subtitle, { x: 4, y: subtitleY, fill: colours.muted }),
      drawLegend(legend, legendY, groups.every((group) => group.bars), colours),
      drawAxis(xTitle, x, [groups[0]?.top ?? top, top], width, colours),
      ...groups.map((group, index) => drawGroup(group, tones[index % 2], x, colours)),
      this._ring,
    );
    replace(this.node, this._svg);
    const told = groups.map(({ label, told: numbers }) => `${label}: ${numbers}`).join("; ");
    this.node.setAttribute("aria-label", `${content.title}. ${told}`);
  }

  _explain(event) {
    if (!this._tree) return;
    const box = this._svg.getBoundingClientRect();
    const at = [event.clientX - box.left, event.clientY - box.top];
    const dot = this._tree.find(...at, REACH);
    if (!dot) {
      this._ring.setAttribute("r", 0);
      return explainBar(this._groups, at, box) || this._leave();
    }
    this._ring.setAttribute("cx", dot.x);
    this._ring.setAttribute("cy", dot.y);
    this._ring.setAttribute("r", dot.radius + 2);
    const rect = new DOMRect(box.left + dot.x - 6, box.top + dot.y - 6, 12, 12);
    const { pair, repeat, value } = dot.network;
    return showTooltip(rect, ...factsOf(pair, [["repeat", String(repeat)], ["accuracy", percent(value, 2)]]));
  }

  _leave() {
    this._ring?.setAttribute("r", 0);
    hideTooltip();
  }
}

/** A text as lines that are no longer than the room; what is too much is cut. */
function linesOf(text, room, { size = 12, weight = "normal" } = {}) {
  const isWithin = (line) => textWidth(line, size, weight) <= SHARE_OF_ROOM * room;
  const lines = [];
  for (const word of String(text).split(/\s+/).map((one) => shorten(one, LONGEST_WORD))) {
    const longer = lines.length ? `${lines[lines.length - 1]} ${word}` : word;
    if (lines.length && isWithin(longer)) lines[lines.length - 1] = longer;
    else lines.push(word);
  }
  const kept = lines.slice(0, MOST_LINES);
  if (lines.length > MOST_LINES) kept[MOST_LINES - 1] += " …";
  return kept.map((line) => {
    let shorter = line;
    for (let letters = Array.from(line).length; letters > 1 && !isWithin(shorter); letters -= 1) {
      shorter = shorten(line, letters - 1);
    }
    return shorter;
  });
}

function drawLines(lines, properties, step = LINE) {
  return lines.map((text, index) => svg("text", { ...properties, y: properties.y + index * step, text }));
}

function groupOf(group, x, largest) {
  const { label, networks } = group;
  const mean = intervalOf(group);
  const margin = mean && Number.isFinite(mean.margin) ? ` ± ${fixed(100 * mean.margin, 2)} %` : " %";
  const told = mean ? `n = ${mean.number}, mean ${fixed(100 * mean.mean, 2)}${margin}` : "no networks";
  if (group.bins) return { label, mean, told, radius: Infinity, dots: () => [], ...barsOf(group, x) };
  const known = networks.filter((one) => Number.isFinite(one.value));
  const xs = known.map((one) => x(one.value));
  const { radius, offsets } = swarm(xs, known.length <= MANY ? 110 : 170, largest);
  const reach = offsets.reduce((most, [, y]) => Math.max(most, Math.abs(y)), 0);
  const height = Math.max(LEAST_HEIGHT, 2 * (reach + radius) + 6);
  return {
    label,
    height,
    mean,
    radius,
    told,
    dots: (middle) =>
      known.map((network, index) => ({
        network,
        radius,
        x: xs[index] + offsets[index][0],
        y: middle + offsets[index][1],
      })),
  };
}

function drawGroup(group, tone, x, colours) {
  const { y, top, height, name, told, mean } = group;
  const node = svg(
    "g",
    {},
    // The colour alone would be too pale for text.
    svg("circle", { cx: 9, cy: y - 4, r: 4.5, fill: tone }),
    ...drawLines(name, { x: GROUP_TEXT, y, "font-weight": "bold" }),
    svg("text", { x: GROUP_TEXT, y: y + LINE * name.length, fill: colours.muted, text: told }),
  );
  if (group.bars) node.append(drawBars(group.bars, top, tone));
  const dots = svg("g", { fill: tone, "fill-opacity": 0.72 });
  for (const dot of group.dots(top + height / 2)) {
    dots.append(svg("circle", { cx: dot.x.toFixed(1), cy: dot.y.toFixed(1), r: group.radius - 0.3 }));
  }
  node.append(dots);
  if (mean) {
    const at = { mean: x(mean.mean), low: x(mean.mean - mean.margin), high: x(mean.mean + mean.margin), ends: x.range() };
    node.append(drawBar(at, top, top + height + 7, colours));
  }
  return node;
}

/** Mean and interval: below the dots, as dots would hide them. */
function drawBar({ mean, low, high, ends = [-Infinity, Infinity] }, top, y, colours) {
  const node = svg("g", { stroke: colours.text });
  if (top !== null) {
    node.append(svg("line", { x1: mean, x2: mean, y1: top, y2: y, "stroke-width": 1, "stroke-dasharray": "2 2" }));
  }
  if (Number.isFinite(low)) {
    // An end that is off the axis has no cap.
    const [first, last] = [Math.max(low, ends[0]), Math.min(high, ends[1])];
    const caps = [low, high].filter((end) => end >= ends[0] && end <= ends[1]);
    node.append(
      svg("line", { x1: first, x2: last, y1: y, y2: y, "stroke-width": 3 }),
      svg("path", { d: caps.map((end) => `M${end},${y - 5}v10`).join(""), "stroke-width": 1.5 }),
    );
  }
  node.append(svg("circle", { cx: mean, cy: y, r: 4, fill: colours.background, "stroke-width": 2 }));
  return node;
}

function drawLegend(text, y, areBars, colours) {
  const sign = (x, fill) =>
    areBars
      ? svg("rect", { x: x - 3.5, y: y - 9, width: 7, height: 9, fill })
      : svg("circle", { cx: x, cy: y - 4, r: 3.7, fill });
  return svg(
    "g",
    { "font-size": 11, fill: colours.muted },
    sign(10, colours.series[1]),
    sign(19, colours.series[0]),
    svg("text", { x: 28, y, text: areBars ? "networks" : "a network" }),
    drawBar({ mean: 120, low: 102, high: 138 }, null, y - 4, colours),
    ...drawLines(text, { x: LEGEND_TEXT, y }),
  );
}

function drawAxis(title, x, [top, bottom], width, colours) {
  const group = svg("g", { fill: colours.muted, "font-size": 11 });
  const ticks = x.ticks(Math.max(3, Math.floor(width / 90)));
  const step = ticks.length > 1 ? 100 * (ticks[1] - ticks[0]) : 1;
  const digits = Math.max(0, Math.ceil(-Math.log10(step) - 1e-9));
  for (const tick of ticks) {
    group.append(
      svg("line", { x1: x(tick), x2: x(tick), y1: top - 4, y2: bottom + 2, stroke: colours.rule, "stroke-width": 0.6 }),
      svg("text", { x: x(tick), y: bottom + 16, "text-anchor": "middle", text: fixed(100 * tick, digits) }),
    );
  }
  group.append(
    svg("line", { x1: MARGIN, x2: width - MARGIN, y1: bottom + 2, y2: bottom + 2, stroke: colours.rule }),
    ...drawLines(title, { x: width / 2, y: bottom + 34, "text-anchor": "middle", "font-size": 12 }),
  );
  return group;
}
