/** Comparisons as rows and columns: which cell stands where, and what it is called. */

import { className } from "./class_names.js";
import { toCsv } from "./files.js";
import { shorten } from "./grid_frame.js";

export const BY_CLASS = "target_by_class";
export const BY_PAIR = "target_by_pair";
export const RESPONSES = {
  accuracy: { title: "Accuracy", text: "accuracy" },
  accuracy_without_pair: { title: "Accuracy without the pair", text: "accuracy without the pair" },
};
// Thousands of networks make nearly every cell significant: marks would hide the colours.
export const LEVELS = ["none", "1e-10", "0.001", "0.01", "0.05", "0.1"];
export const DEFAULT_LEVEL = "0.05";

const LONGEST_OF_PAIR = 8;
const LONGEST_PAIR = 22;

/** What a study is called. */
export function studyName(entry) {
  return entry.name === "." ? "this study" : entry.name;
}

/** Both names of a pair; shorter where it is a label. */
export function pairName(study, [a, b], { isLabel = false } = {}) {
  const names = [className(study, a), className(study, b)];
  const text = names.join("-");
  if (!isLabel || Array.from(text).length <= LONGEST_PAIR) return text;
  return names.map((name) => shorten(name, LONGEST_OF_PAIR)).join("-");
}

/** Labels of "3.0.1" if they are all of them, each once; else null. */
export function parseOrder(text, numClasses) {
  const parts = text.split(".");
  if (!parts.every((part) => /^\d{1,4}$/.test(part))) return null;
  return permutation(parts.map(Number), numClasses);
}

function permutation(labels, numClasses) {
  if (!Array.isArray(labels) || labels.length !== numClasses) return null;
  const seen = new Set(labels.filter((label) => Number.isInteger(label) && label >= 0 && label < numClasses));
  return seen.size === numClasses ? labels : null;
}

/** The order of the classes that the reader chose, as labels; by label if it is none. */
export function classOrder(entry, state) {
  const numClasses = entry.study.class_names.length;
  const byLabel = Array.from({ length: numClasses }, (_, label) => label);
  if (state.order === "cluster") return permutation(entry.class_order, numClasses) ?? byLabel;
  if (state.order === "hand") return parseOrder(state.hand, numClasses) ?? byLabel;
  return byLabel;
}

/** The tables that a study has; the one that is shown when another one is asked for. */
export function shownTable(entry, wanted) {
  const tables = entry.tables ?? [];
  return tables.includes(wanted) ? wanted : (tables[0] ?? null);
}

/** Whether two studies have the same classes, so that their cells can be compared. */
export function isComparable(entry, other) {
  return (
    other.run !== entry.run &&
    other.kind === "confusion" &&
    !other.error &&
    JSON.stringify(other.study.class_names) === JSON.stringify(entry.study.class_names)
  );
}

/**
 * Where every cell stands.
 * @typedef {Object} Layout
 * @property {Array<string>} rows Labels.
 * @property {Array<string>} columns
 * @property {string} rowTitle
 * @property {string} columnTitle
 * @property {Array<number>} rowRules Rows before which a new group begins.
 * @property {function(number, number): Cell} cellAt Of a row and a column.
 * @typedef {{row: number, target: number, isMember: boolean}} Cell `row` is that of the
 *   comparison: a class, or a pair. `isMember`: the target is in the pair.
 */

/** The layout of a study's comparison. @return {Layout} */
export function layoutOf(study, table, order) {
  const names = order.map((label) => className(study, label));
  if (table === BY_CLASS) {
    return {
      rows: names,
      columns: names,
      rowTitle: "target class T",
      columnTitle: "confused class C",
      rowRules: [],
      cellAt: (row, column) => ({ row: order[column], target: order[row], isMember: false }),
    };
  }
  const place = new Map(order.map((label, index) => [label, index]));
  const pairs = study.pairs
    .map((pair, number) => ({ number, pair: [...pair].sort((a, b) => place.get(a) - place.get(b)) }))
    .sort((a, b) => place.get(a.pair[0]) - place.get(b.pair[0]) || place.get(a.pair[1]) - place.get(b.pair[1]));
  return {
    rows: pairs.map(({ pair }) => pairName(study, pair, { isLabel: true })),
    columns: names,
    rowTitle: "confused pair",
    columnTitle: "target class T",
    rowRules: pairs.flatMap(({ pair }, index) => (index && pair[0] !== pairs[index - 1].pair[0] ? [index] : [])),
    cellAt: (row, column) => ({
      row: pairs[row].number,
      target: order[column],
      isMember: pairs[row].pair.includes(order[column]),
    }),
  };
}

/** Rows of another study's comparison, by rows of this one's; undefined where missing. */
export function rowsOfOther(study, other, table) {
  if (table === BY_CLASS) return study.class_names.map((_, label) => label);
  const numbers = new Map(other.pairs.map((pair, number) => [pair.join("-"), number]));
  return study.pairs.map((pair) => numbers.get(pair.join("-")));
}

/**
 * A column of an answer of `confusion/matrix`, as it is laid out.
 * @param {Layout} layout
 * @param {Float32Array} answer (columns, rows, K)
 * @param {number} column
 * @param {{numRows: number, numClasses: number, rowOf?: Array<number|undefined>}} of
 *   `rowOf`: rows of the answer, by rows of the layout's study.
 * @return {Float32Array} rows x columns
 */
export function laidOut(layout, answer, column, { numRows, numClasses, rowOf }) {
  const width = layout.columns.length;
  const values = new Float32Array(layout.rows.length * width).fill(NaN);
  for (let index = 0; index < values.length; index += 1) {
    const { row, target } = layout.cellAt(Math.floor(index / width), index % width);
    const from = rowOf ? rowOf[row] : row;
    if (from !== undefined) values[index] = answer[(column * numRows + from) * numClasses + target];
  }
  return values;
}

/** How many rows a comparison has. */
export function numRowsOf(study, table) {
  return table === BY_CLASS ? study.class_names.length : study.pairs.length;
}

/** What was confused in a row of a comparison. */
export function rowName(study, table, row) {
  return table === BY_CLASS ? className(study, row) : pairName(study, study.pairs[row]);
}

/** The opened cell of the address, if there is such a one; else null. */
export function parseCell(text, study, table) {
  const [response, ...numbers] = text.split(".");
  if (!Object.hasOwn(RESPONSES, response) || numbers.length !== 2) return null;
  if (!numbers.every((number) => /^\d{1,6}$/.test(number))) return null;
  const [row, target] = numbers.map(Number);
  if (row >= numRowsOf(study, table) || target >= study.class_names.length) return null;
  return table === BY_CLASS && row === target ? null : { response, row, target };
}

/** The difference of two runs as CSV, one line a cell. */
export function differenceCsv({ layout, study, table, response, measure, runs, parts, values }) {
  const width = layout.columns.length;
  const header = ["run_a", "run_b", "response", "target", "target_name", table === BY_CLASS ? "class" : "pair"];
  header.push(`${header[5]}_name`, `${measure}_a`, `${measure}_b`, `${measure}_a_minus_b`);
  const lines = [];
  values.forEach((value, index) => {
    const { row, target } = layout.cellAt(Math.floor(index / width), index % width);
    if (table === BY_CLASS && row === target) return;
    const names = [study.class_names[target], row, rowName(study, table, row)];
    lines.push([...runs, response, target, ...names, ...parts.map((part) => part[index]), value]);
  });
  return toCsv(header, lines);
}
