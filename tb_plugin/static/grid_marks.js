/** What points at cells of a grid: outlines, and the labels of a row and a column. */

import { palette } from "./colours.js";
import { svg } from "./dom.js";
import { columnLabel, shortenAll } from "./grid_frame.js";

// A line on the edge of a smaller cell would cover it.
const SMALL_CELL = 12;
const LINE = 13; // of a label

/**
 * Outlines of cells and bands.
 * @param {GridContent} content See grid.js.
 * @param {{left: number, top: number, width: number, height: number}} plot
 * @param {{pointed: Array<Array<number>>, focus: Array<number>|null,
 *   hover: Array<number>|null}} marked Cells as [row, column].
 * @return {Array<SVGElement>}
 */
export function drawMarks(content, { left, top, width, height }, { pointed, focus, hover }) {
  const colours = palette();
  const { rows, columns, selected, linked } = content;
  const apart = Math.min(width, height) < SMALL_CELL ? 2 : 0;
  const rectangle = (row, column, spanRows, spanColumns, stroke, thickness) =>
    svg("rect", {
      x: left + column * width - apart,
      y: top + row * height - apart,
      width: width * spanColumns + 2 * apart,
      height: height * spanRows + 2 * apart,
      fill: "none",
      stroke,
      "stroke-width": thickness,
    });
  const outline = (...place) => {
    const [stroke, thickness] = place.splice(4);
    // Cells have every colour: the line needs a margin.
    const margin = thickness + (apart ? 1.5 : 3);
    return [rectangle(...place, colours.background, margin), rectangle(...place, stroke, thickness)];
  };
  const marks = [];
  if (linked && linked[0] >= 0) {
    marks.push(...outline(linked[0], 0, 1, columns.length, colours.series[1], 2));
  }
  if (linked && linked[1] >= 0) {
    marks.push(...outline(0, linked[1], rows.length, 1, colours.series[1], 2));
  }
  for (const [row, number] of runsOf(content.found?.rows ?? [])) {
    marks.push(...outline(row, 0, number, columns.length, colours.text, 1.5));
  }
  for (const [column, number] of runsOf(content.found?.columns ?? [])) {
    marks.push(...outline(0, column, rows.length, number, colours.text, 1.5));
  }
  // In heat maps, orange is a value's colour.
  const pointing = content.pictures ? colours.series[1] : colours.text;
  for (const cell of pointed) marks.push(...outline(...cell, 1, 1, pointing, 3));
  if (selected) marks.push(...outline(...selected, 1, 1, colours.focus, 3));
  if (focus) marks.push(...outline(...focus, 1, 1, colours.focus, 2));
  if (hover) marks.push(...outline(...hover, 1, 1, colours.text, 1.5));
  return marks;
}

/** Places that follow each other, as [first, number]; a line between them would hide them. */
function runsOf(places) {
  const runs = [];
  for (const place of places) {
    const last = runs[runs.length - 1];
    if (last && last[0] + last[1] === place) last[1] += 1;
    else runs.push([place, 1]);
  }
  return runs;
}

/** Places that are so far from the last one that both can have a label. */
function apartBy(places, size, least) {
  const kept = [];
  for (const place of places) {
    if (!kept.length || (place - kept[kept.length - 1]) * size >= least) kept.push(place);
  }
  return kept;
}

/** Labels of what was found and of a cell, over the faint or missing ones; -1 for none. */
export function drawLabels(content, plot, [row, column]) {
  const { left, top, width, height } = plot;
  const found = content.found ?? { rows: [], columns: [] };
  const rows = [...apartBy(found.rows, height, LINE), ...(row >= 0 ? [row] : [])];
  const columns = [...apartBy(found.columns, width, LINE / Math.SQRT1_2), ...(column >= 0 ? [column] : [])];
  const halo = { "font-size": plot.labelSize, stroke: palette().background, "stroke-width": 4, "paint-order": "stroke" };
  const [ofRows, ofColumns] = [shortenAll(content.rows), shortenAll(content.columns)];
  return [
    ...rows.map((place) =>
      svg("text", {
        x: left - 6,
        y: top + (place + 0.5) * height,
        "text-anchor": "end",
        "dominant-baseline": "central",
        "font-weight": "bold",
        text: ofRows[place],
        ...halo,
      }),
    ),
    ...columns.map((place) => columnLabel(ofColumns[place], place, plot, { "font-weight": "bold", ...halo })),
  ];
}
