/** A group of too many networks to draw each: how many are where, as bars. */

import { svg } from "./dom.js";
import { percent } from "./numbers.js";
import { meanInterval, studentQuantile } from "./student.js";
import { factsOf, showTooltip } from "./tooltip.js";

const HEIGHT = 110;
const LEAST_WIDTH = 1; // pixels
const GAP = 0.5; // between bars

/** Mean, half of its 95 % interval and number of a group of `confusion/cell`, or null. */
export function intervalOf(group) {
  if (!group.bins) {
    const values = knownValues(group);
    const mean = meanInterval(values);
    return mean && { ...mean, number: values.length };
  }
  const { mean, sd, num_networks: number } = group;
  return { mean, margin: (studentQuantile(number - 1) * sd) / Math.sqrt(number), number };
}

/** All places on the axis that a group needs, shares. */
export function knownValues(group) {
  if (group.bins) return group.bins.flatMap(([low, high]) => [low, high]);
  return group.networks.map((one) => one.value).filter(Number.isFinite);
}

/** Bars of a group with bins: their places, from the top of the group. */
export function barsOf({ bins }, x) {
  const most = Math.max(...bins.map(([, , number]) => number));
  const bars = bins.map(([low, high, number]) => {
    const height = Math.max(LEAST_WIDTH, (HEIGHT * number) / most);
    const width = Math.max(LEAST_WIDTH, x(high) - x(low) - GAP);
    return { x: (x(low) + x(high) - width) / 2, y: HEIGHT - height, width, height, low, high, number };
  });
  return { height: HEIGHT, bars };
}

/** The bars, drawn below a line. */
export function drawBars(bars, top, tone) {
  const node = svg("g", { fill: tone, "fill-opacity": 0.72 });
  for (const { x, y, width, height } of bars) {
    const place = { x: x.toFixed(1), y: (top + y).toFixed(1), width: width.toFixed(1), height: height.toFixed(1) };
    node.append(svg("rect", place));
  }
  return node;
}

/** Tells what is in the bar at a place of a drawing; whether there is one. */
export function explainBar(groups, [x, y], box) {
  for (const { bars, top, height } of groups) {
    if (!bars || y < top || y > top + height) continue;
    const bar = bars.find((one) => x >= one.x - GAP && x <= one.x + one.width + GAP);
    if (!bar) continue;
    const rect = new DOMRect(box.left + bar.x, box.top + top + bar.y, bar.width, bar.height);
    const facts = [["accuracy", `${percent(bar.low, 2)} to ${percent(bar.high, 2)}`]];
    showTooltip(rect, ...factsOf(`${bar.number} networks`, facts));
    return true;
  }
  return false;
}
