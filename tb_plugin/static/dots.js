/** A dot plot: every single network of two groups, with mean and confidence interval. */

import { palette } from "./colours.js";
import { html, replace, svg } from "./dom.js";
import { fixed, percent } from "./numbers.js";
import { meanInterval } from "./student.js";
import { swarm } from "./swarm.js";
import { factsOf, hideTooltip, showTooltip } from "./tooltip.js";

const FONT = "Roboto, 'Helvetica Neue', Arial, sans-serif";
const HEAD = 60;
const NAME = 22; // above the dots of a group
const BAR = 16; // below them
const FOOT = 44;
const MARGIN = 14;
const LEAST_HEIGHT = 36;
const MANY = 600; // networks of a group: it may be higher
const SEEN = 2.5;
const REACH = 12;
const d3 = globalThis.d3;

/**
 * @typedef {Object} DotsContent
 * @property {string} title
 * @property {string} subtitle
 * @property {string} xTitle
 * @property {Array<{label: string, networks: Array<{value: number, pair: string,
 *   repeat: number}>}>} groups Values are shares.
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
    const interval = meanInterval(knownValues(group));
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

function knownValues(group) {
  return group.networks.map((one) => one.value).filter(Number.isFinite);
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
    let top = HEAD;
    for (const group of groups) {
      group.top = top;
      top += NAME + group.height + BAR;
    }
    const height = top + FOOT;
    this._dots = groups.flatMap((group) => group.dots(group.top + NAME + group.height / 2));
    this._tree = d3.quadtree(this._dots, (dot) => dot.x, (dot) => dot.y);
    this._ring = svg("circle", { class: "interactive", fill: "none", stroke: colours.text, "stroke-width": 2, r: 0 });
    const tones = [colours.series[1], colours.series[0]];
    this._svg = svg(
      "svg",
      { width, height, viewBox: `0 0 ${width} ${height}`, "font-family": FONT, "font-size": 12, fill: colours.text },
      svg("text", { x: 4, y: 16, "font-size": 14, "font-weight": "bold", text: content.title }),
      svg("text", { x: 4, y: 33, fill: colours.muted, text: content.subtitle }),
      drawLegend(48, colours),
      drawAxis(content, x, top, width, colours),
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
    const dot = this._tree.find(event.clientX - box.left, event.clientY - box.top, REACH);
    if (!dot) return this._leave();
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

function groupOf({ label, networks }, x, largest) {
  const known = networks.filter((one) => Number.isFinite(one.value));
  const xs = known.map((one) => x(one.value));
  const { radius, offsets } = swarm(xs, known.length <= MANY ? 110 : 170, largest);
  const reach = offsets.reduce((most, [, y]) => Math.max(most, Math.abs(y)), 0);
  const height = Math.max(LEAST_HEIGHT, 2 * (reach + radius) + 6);
  const mean = meanInterval(known.map((one) => one.value));
  const margin = mean && Number.isFinite(mean.margin) ? ` ± ${fixed(100 * mean.margin, 2)} %` : " %";
  return {
    label,
    height,
    mean,
    radius,
    told: mean ? `n = ${known.length}, mean ${fixed(100 * mean.mean, 2)}${margin}` : "no networks",
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
  const { top, height, label, told, mean } = group;
  const node = svg("g");
  const name = svg("text", { x: 4, y: top + 13 });
  name.append(
    svg("tspan", { "font-weight": "bold", fill: tone, text: label }),
    svg("tspan", { dx: 8, fill: colours.muted, text: told }),
  );
  const dots = svg("g", { fill: tone, "fill-opacity": 0.72 });
  for (const dot of group.dots(top + NAME + height / 2)) {
    dots.append(svg("circle", { cx: dot.x.toFixed(1), cy: dot.y.toFixed(1), r: group.radius - 0.3 }));
  }
  node.append(name, dots);
  if (mean) {
    const at = { mean: x(mean.mean), low: x(mean.mean - mean.margin), high: x(mean.mean + mean.margin), ends: x.range() };
    node.append(drawBar(at, top + NAME, top + NAME + height + 7, colours));
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

function drawLegend(y, colours) {
  return svg(
    "g",
    { "font-size": 11, fill: colours.muted },
    svg("circle", { cx: 10, cy: y - 4, r: 3.7, fill: colours.series[1] }),
    svg("circle", { cx: 19, cy: y - 4, r: 3.7, fill: colours.series[0] }),
    svg("text", { x: 28, y, text: "a network" }),
    drawBar({ mean: 120, low: 102, high: 138 }, null, y - 4, colours),
    svg("text", { x: 148, y, text: "mean with its 95 % CI (Student's t, networks taken as independent)" }),
  );
}

function drawAxis(content, x, bottom, width, colours) {
  const group = svg("g", { fill: colours.muted, "font-size": 11 });
  const ticks = x.ticks(Math.max(3, Math.floor(width / 90)));
  const step = ticks.length > 1 ? 100 * (ticks[1] - ticks[0]) : 1;
  const digits = Math.max(0, Math.ceil(-Math.log10(step) - 1e-9));
  for (const tick of ticks) {
    group.append(
      svg("line", { x1: x(tick), x2: x(tick), y1: HEAD + NAME - 4, y2: bottom + 2, stroke: colours.rule, "stroke-width": 0.6 }),
      svg("text", { x: x(tick), y: bottom + 16, "text-anchor": "middle", text: fixed(100 * tick, digits) }),
    );
  }
  group.append(
    svg("line", { x1: MARGIN, x2: width - MARGIN, y1: bottom + 2, y2: bottom + 2, stroke: colours.rule }),
    svg("text", { x: width / 2, y: bottom + 34, "text-anchor": "middle", "font-size": 12, text: content.xTitle }),
  );
  return group;
}
