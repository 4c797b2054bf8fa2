/** Turns fetched comparisons into the contents of heat maps. Pure. */

import { className, shownClasses } from "./class_names.js";
import {
  BY_CLASS,
  BY_PAIR,
  RESPONSES,
  layoutOf,
  laidOut,
  numRowsOf,
  rowName,
} from "./confusion_data.js";
import { MEASURES, commonScale, inFull, measureLine, measureName, testTitles, writing } from "./measures.js";
import { probability } from "./numbers.js";

const LARGEST_CELL = 56;
const CLASS_HEIGHT = 44;
const PAIR_HEIGHT = 20;
const MANY_PAIRS = 100;
const MANY_PAIR_HEIGHT = 12;

/**
 * All maps that are shown together.
 * @param {{plan: Object, shown: Map<string, Float32Array>, isDifference: boolean,
 *   order: Array<number>, level: number, find: string}} what `shown` by JSON of run and response.
 * @return {Array<HeatMap>}
 * @typedef {Object} HeatMap
 * @property {string} slot Stays the same while the data change.
 * @property {Object} content Of a Grid; null where there is nothing to show.
 * @property {string} missing Why there is nothing.
 */
export function contentsOf({ plan, shown, isDifference, order, level, find }) {
  const { table, measure, responses, sides } = plan;
  const { study } = sides[0].entry;
  const layout = layoutOf(study, table, order);
  const sources = responses.flatMap((response) =>
    sides.map((side, index) => readSide({ layout, plan, side, index, response, shown })),
  );
  const maps = isDifference ? responses.map((response) => difference(sources.filter((one) => one.response === response))) : sources;
  const known = maps.filter((map) => map.values);
  const width = layout.columns.length;
  const isAside = (index) => layout.cellAt(Math.floor(index / width), index % width).isMember;
  const { scale, largest } = commonScale(measure, known.map(({ values }) => ({ values, isAside })), { isDifference });
  const written = writing(measure, largest, { isDifference });
  const found = foundIn(layout, table, new Set(shownClasses(study, find)));
  const common = { plan, layout, scale, written, level, isDifference, found };
  return maps.map((map) => ({ ...map, scale, written, ...(map.values ? finished(map, common) : { content: null }) }));
}

/** Where the classes stand that the reader looks for; pairs are not looked for. */
function foundIn(layout, table, labels) {
  const within = (count, labelAt) => Array.from({ length: count }, (_, place) => place).filter((place) => labels.has(labelAt(place)));
  const columns = within(layout.columns.length, (column) => labelOfColumn(layout.cellAt(0, column), table));
  const rows = table === BY_CLASS ? within(layout.rows.length, (row) => layout.cellAt(row, 0).target) : [];
  return { rows, columns };
}

/** The class of a column: that was confused, or the target. */
function labelOfColumn(cell, table) {
  return table === BY_CLASS ? cell.row : cell.target;
}

function readSide({ layout, plan, side, index, response, shown }) {
  const answer = shown.get(JSON.stringify([side.entry.run, response])) ?? null;
  const source = { slot: `${response} ${index}`, response, sides: [side], values: null, qValues: null };
  if (!answer) return { ...source, missing: whyMissing(side, plan.table) };
  const of = {
    numRows: numRowsOf(side.entry.study, plan.table),
    numClasses: side.entry.study.class_names.length,
    rowOf: side.rowOf ?? undefined,
  };
  return { ...source, values: laidOut(layout, answer, 0, of), qValues: laidOut(layout, answer, 1, of) };
}

function whyMissing({ name, entry }, table) {
  if (table === BY_CLASS && !entry.study.has_all_pairs) {
    return `${name} has no T × C: it is not a study of all pairs of classes. T × pair shows what both have.`;
  }
  return `${name} has no comparison of this kind yet.`;
}

function difference([first, second]) {
  const both = { slot: `${first.response} difference`, response: first.response, sides: [...first.sides, ...second.sides] };
  if (!first.values || !second.values) {
    return { ...both, values: null, missing: first.missing ?? second.missing };
  }
  return {
    ...both,
    values: first.values.map((value, index) => value - second.values[index]),
    parts: [first, second],
  };
}

function finished(map, common) {
  const { plan, layout, scale, written, level, isDifference, found } = common;
  const width = layout.columns.length;
  const hasQ = !isDifference && map.qValues.some(Number.isFinite);
  const areMarked = hasQ && Number.isFinite(level); // not where the reader wants no marks
  const isMarked = (row, column) => map.qValues[row * width + column] <= level;
  const about = (row, column) => aboutCell(map, common, row, column);
  const content = {
    title: titleOf(map, plan, isDifference),
    subtitle: subtitleOf(map, plan, isDifference),
    rows: layout.rows,
    columns: layout.columns,
    rowTitle: layout.rowTitle,
    columnTitle: layout.columnTitle,
    rowRules: layout.rowRules,
    values: map.values,
    scale,
    legendTitle: legendOf(map, plan.measure, written.unit, isDifference),
    format: written.format,
    isMarked: areMarked ? isMarked : undefined,
    markTitle: areMarked ? `q ≤ ${level}, ${testOf(map)}-test (Benjamini–Hochberg)` : isDifference || hasQ ? "" : "no q-values yet",
    hasMark: areMarked,
    isAside: plan.table === BY_PAIR ? (row, column) => layout.cellAt(row, column).isMember : undefined,
    found,
    largestCell: LARGEST_CELL,
    largestHeight: heightOf(plan.table, layout.rows.length),
    describe: (row, column) => describe(about(row, column)),
  };
  return { content, hasQ, about, layout, plan };
}

function heightOf(table, numRows) {
  if (table === BY_CLASS) return CLASS_HEIGHT;
  return numRows > MANY_PAIRS ? MANY_PAIR_HEIGHT : PAIR_HEIGHT;
}

/** What the t of a map's study is called; of both studies, where it is of two. */
function testOf({ sides }) {
  return testTitles(sides.map(({ entry }) => entry.test_title));
}

function titleOf(map, plan, isDifference) {
  const { title } = RESPONSES[map.response];
  if (isDifference) return `${title}: ${map.sides[0].name} − ${map.sides[1].name}`;
  return plan.sides.length > 1 ? `${title}: ${map.sides[0].name}` : title;
}

function subtitleOf(map, plan, isDifference) {
  const counts = map.sides.map(({ entry }) => entry.progress.num_in_tables ?? entry.progress.num_done);
  const line = measureLine(plan.measure, RESPONSES[map.response].text, testOf(map));
  return `${line}; ${counts.join(" and ")} networks${isDifference ? ", no test of the difference" : ""}`;
}

function legendOf(map, measure, unit, isDifference) {
  return `${measureName(measure, testOf(map))}${unit && `, ${unit}`}${isDifference ? ", A − B" : ""}`;
}

/** What is known of a cell without asking, and what to ask for. */
function aboutCell(map, { plan, layout, isDifference }, row, column) {
  const { table, measure } = plan;
  const { study } = plan.sides[0].entry;
  const cell = layout.cellAt(row, column);
  const index = row * layout.columns.length + column;
  const isDiagonal = table === BY_CLASS && cell.row === cell.target;
  const target = className(study, cell.target);
  const confused = rowName(study, table, cell.row);
  const what = table === BY_CLASS ? "confused" : "confused pair";
  const title = isDiagonal ? `${target}: not compared with itself` : `Target ${target} · ${what} ${confused}`;
  const name = measureName(measure, testOf(map));
  const parts = isDifference ? map.parts : [map];
  const facts = isDiagonal
    ? []
    : [
        [name, ...parts.map((part) => told(measure, part.values[index]))],
        ["q", ...parts.map((part) => probability(part.qValues[index]))],
      ];
  const sides = map.sides.map(({ name: side, entry, rowOf }) => {
    const from = rowOf ? rowOf[cell.row] : cell.row;
    const place = from === undefined ? null : { table, response: map.response, row: from, target: cell.target };
    return { name: side, entry, place };
  });
  const missing = sides.filter(({ place }) => !place).map((side) => `Not in ${side.name}.`);
  const member = cell.isMember ? ["The target is in the pair: its own training labels were confused."] : [];
  return {
    cell: isDiagonal ? null : { response: map.response, row: cell.row, target: cell.target },
    title,
    facts,
    // The statistics of a cell hold all others.
    kept: MEASURES[measure].isMagnitude ? facts.slice(0, 1) : [],
    difference: isDifference && !isDiagonal ? `A − B: ${told(measure, map.values[index])}` : "",
    note: [...member, ...missing].join(" "),
    sides: isDiagonal ? [] : sides,
  };
}

/** A value with its unit, which a missing one has not. */
function told(measure, value) {
  return Number.isFinite(value) ? inFull(measure, value) : "–";
}

function describe({ title, facts, difference: apart, note }) {
  return [title, ...facts.map(([name, ...values]) => `${name} ${values.join(" and ")}`), apart, note].filter(Boolean).join(", ");
}

function placeOf({ columns }, index) {
  return [Math.floor(index / columns.length), index % columns.length];
}

/** What the reader has to know about the maps, in words. */
export function notesOf({ plan, maps, isDifference }) {
  const notes = [];
  const known = maps.filter((map) => map.content);
  if (known.length === 0) return "";
  const { scale, written } = known[0];
  if (scale.clipped) {
    const limit = written.format(scale.domain[1]).replace("+", scale.isSigned ? "±" : "");
    notes.push(`Colours end at ${limit}${written.unit && ` ${written.unit}`}: the few larger values have the last colour.`);
  }
  if (plan.table === BY_PAIR) {
    const why = "the target is in the pair, its own training labels were confused";
    const hasMembers = known.some(({ values, content }) => values.some((value, index) => Number.isFinite(value) && content.isAside(...placeOf(content, index))));
    notes.push(`Grey: ${why}${hasMembers ? "; such cells are far off the scale" : ", and is not compared"}.`);
  }
  if (!known.some((map) => map.values.some(Number.isFinite))) {
    return "There are no differences yet: both groups of a cell need networks that the study has not finished.";
  }
  if (isDifference) notes.push("Marks are left out: nothing was tested across the two runs.");
  else if (known.some((map) => !map.hasQ)) {
    notes.push("No marks: there are no q-values yet, as groups have fewer than two networks.");
  }
  if (known.length > 1) notes.push("All maps share one scale.");
  return notes.join(" ");
}
