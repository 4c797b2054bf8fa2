/** What stands around the cells of a grid: sizes, title, legend, axes. */

import { html, svg } from "./dom.js";

const SMALLEST_LABEL = 9;
const LEGEND_WIDTH = 180;
const LABEL = 12;
// Of the room, for pictures whose pixels are whole ones of the screen.
const ENOUGH_ROOM = 0.85;
const SLANT = Math.SQRT1_2; // of labels over columns, 45°
const FONT = "Roboto, 'Helvetica Neue', Arial, sans-serif";
const pen = html("canvas").getContext("2d");

/** Pixels that a text takes. */
export function textWidth(text, size, weight = "normal") {
  pen.font = `${weight} ${size}px ${FONT}`;
  return pen.measureText(text).width;
}

/** Class names are anybody's: long ones are cut. */
export function shorten(name, longest = 22) {
  const letters = Array.from(String(name));
  return letters.length > longest ? `${letters.slice(0, longest - 1).join("")}…` : letters.join("");
}

const LONGEST_LABEL = 22;

/** Labels beside each other: those that a cut at the end would make alike lose their middle. */
export function shortenAll(names) {
  const cut = names.map((name) => shorten(name, LONGEST_LABEL));
  const counts = new Map();
  for (const name of cut) counts.set(name, (counts.get(name) ?? 0) + 1);
  return names.map((name, index) => (counts.get(cut[index]) > 1 ? withoutMiddle(name) : cut[index]));
}

function withoutMiddle(name) {
  const letters = Array.from(String(name));
  if (letters.length <= LONGEST_LABEL) return letters.join("");
  const half = Math.floor((LONGEST_LABEL - 1) / 2);
  return `${letters.slice(0, half).join("")}…${letters.slice(-half).join("")}`;
}

/** Places and sizes of a grid's parts in so many pixels of width. */
export function measure(content, available) {
  const [rows, columns] = [shortenAll(content.rows), shortenAll(content.columns)];
  const labelSize = content.labelSize ?? LABEL;
  const widest = (labels) => Math.max(6, ...labels.map((label) => textWidth(label, labelSize)));
  const rowSpace = 28 + widest(rows);
  const head = content.pictures ? 24 : 58;
  const subtitle = content.subtitle ? 16 : 0;
  const rightSpace = 4 + SLANT * Math.max(0, widest(columns.slice(-1)) - 16);
  const room = (available - rowSpace - rightSpace) / columns.length;
  const largest = content.largestCell ?? 44;
  const smallest = content.smallestCell ?? 3;
  let width = Math.max(smallest, Math.min(largest, room));
  // Whole pixels stay crisp, where there is room for them.
  if (width >= 4) width = Math.floor(width);
  if (content.pictures) width = crispWidth(width, content.pictures.cell);
  const aspect = content.pictures?.aspect ?? 1;
  const height = Math.min(width * aspect, content.largestHeight ?? Infinity);
  const areLevel = widest(columns) <= width - 4;
  const columnSpace = areLevel ? 12 + 2 * labelSize : 34 + SLANT * widest(columns);
  const left = Math.round(rowSpace);
  const top = Math.round(head + subtitle + columnSpace);
  const drawn = left + width * columns.length + (areLevel ? 4 : rightSpace);
  return {
    plot: { left, top, width, height, areLevel, labelSize, columnSpace },
    subtitle,
    width: Math.ceil(Math.max(drawn, headWidth(content))),
    height: Math.ceil(top + height * rows.length + 6),
  };
}

/** The width for so many pixels of a picture: a multiple of theirs, where one is nearly as wide. */
function crispWidth(width, pixels) {
  const whole = (Math.floor((width * devicePixelRatio) / pixels) * pixels) / devicePixelRatio;
  return whole >= ENOUGH_ROOM * width ? whole : width;
}

/** Whether every pixel of a picture is drawn in one and the same number of the screen's. */
export function isCrisp(width, pixels) {
  const times = (width * devicePixelRatio) / pixels;
  return times >= 1 && Math.abs(times - Math.round(times)) < 1e-6;
}

/** So that a saved drawing holds its texts. */
function headWidth({ title, subtitle = "", scale, legendTitle = "", markTitle = "" }) {
  const beside = Math.max(textWidth(legendTitle, 11), 12 + textWidth(markTitle, 11));
  const legend = scale ? LEGEND_WIDTH + 20 + beside : 0;
  return Math.max(330, 8 + textWidth(title, 14, "bold"), 8 + textWidth(subtitle, 12), legend);
}

/** Title, subtitle and legend. */
export function drawHead(content, layout, colours) {
  const head = [
    svg("text", { x: 4, y: 16, "font-size": 14, "font-weight": "bold", text: content.title }),
  ];
  if (content.subtitle) {
    head.push(svg("text", { class: "subtitle", x: 4, y: 33, fill: colours.muted, text: content.subtitle }));
  }
  if (content.scale) head.push(drawLegend(content, 27 + layout.subtitle, colours));
  return head;
}

function drawLegend(content, y, colours) {
  const { scale, format } = content;
  const [low, high] = scale.domain;
  const steps = 90;
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
    const hasMark = content.hasMark !== false;
    if (hasMark) group.append(svg("circle", { cx: LEGEND_WIDTH + 14, cy: 17.5, r: 3, fill: colours.text }));
    group.append(
      svg("text", {
        x: LEGEND_WIDTH + (hasMark ? 22 : 10),
        y: 21,
        "font-size": 11,
        fill: colours.muted,
        text: content.markTitle,
      }),
    );
  }
  return group;
}

/** A label over a column: level where all of them fit, slanted otherwise. */
export function columnLabel(text, column, { left, top, width, areLevel }, properties = {}) {
  const x = left + (column + 0.5) * width;
  const y = top - (areLevel ? 7 : 6);
  return svg("text", {
    x,
    y,
    transform: areLevel ? null : `rotate(-45 ${x} ${y})`,
    "text-anchor": areLevel ? "middle" : "start",
    text,
    ...properties,
  });
}

/** Labels of rows and columns, and what they are. */
export function drawAxes(content, layout, colours) {
  const { left, top, width, height, areLevel, labelSize, columnSpace } = layout.plot;
  const group = svg("g", { fill: colours.text });
  // Slanted labels are further apart than they are high.
  const slanted = areLevel ? SMALLEST_LABEL : SMALLEST_LABEL / SLANT;
  const every = (size, least = SMALLEST_LABEL) => Math.max(1, Math.ceil(least / size));
  const fontSize = (size) => Math.max(SMALLEST_LABEL, Math.min(labelSize, size * 0.95));
  const [rows, columns] = [shortenAll(content.rows), shortenAll(content.columns)];
  rows.forEach((label, row) => {
    if (row % every(height)) return;
    group.append(
      svg("text", {
        x: left - 6,
        y: top + (row + 0.5) * height,
        "text-anchor": "end",
        "dominant-baseline": "central",
        "font-size": fontSize(height),
        text: label,
      }),
    );
  });
  columns.forEach((label, column) => {
    if (column % every(width, slanted)) return;
    group.append(
      columnLabel(label, column, layout.plot, { "font-size": fontSize(width) }),
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
      // Above the labels.
      y: top - columnSpace + (areLevel ? 12 : 16),
      fill: colours.muted,
      text: content.columnTitle,
    }),
  );
  return group;
}
