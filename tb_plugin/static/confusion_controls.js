/** The choices above the heat maps. */

import { className } from "./class_names.js";
import { openClassOrder } from "./class_order.js";
import {
  BY_CLASS,
  BY_PAIR,
  DEFAULT_LEVEL,
  LEVELS,
  classOrder,
  isComparable,
  parseOrder,
  shownTable,
  studyName,
} from "./confusion_data.js";
import { choice, html, setOptions } from "./dom.js";
import { MEASURES, knownMeasure } from "./measures.js";

const TABLES = [
  [BY_CLASS, "T × C", "Rows: the target T. Columns: a class C that was confused with any other."],
  [BY_PAIR, "T × pair", "Rows: the pair of classes that was confused. Columns: the target T."],
];
const NEEDS_ALL_PAIRS = "Needs a study of all pairs of classes; this one has some of them.";
const NOT_YET = "Not made yet.";
const RESPONSE_OPTIONS = [
  { value: "both", text: "both, side by side" },
  { value: "accuracy", text: "accuracy" },
  { value: "accuracy_without_pair", text: "accuracy without the pair" },
];
const LAYOUTS = [
  { value: "side", text: "side by side" },
  { value: "difference", text: "difference A − B" },
];

/** Level at or below which a q-value is marked. */
export function knownLevel(state) {
  return LEVELS.includes(state.q) ? state.q : DEFAULT_LEVEL;
}

/** The other run of a comparison, if there is one and it is asked for. */
export function otherOf(entry, state, studies) {
  return studies.find((one) => one.run === state.compare && isComparable(entry, one)) ?? null;
}

/** The row of choices; follows the state. */
export class Controls {
  constructor(container, store) {
    this._store = store;
    const make = (label, key, options) =>
      choice({ label, options, value: "", onchange: (value) => store.set({ [key]: value }) });
    this._tables = html("span", { class: "segments", role: "group", "aria-label": "Table" });
    for (const [table, text] of TABLES) {
      this._tables.append(
        html("button", {
          type: "button",
          "data-table": table,
          text,
          onclick: () => store.set({ table, cell: "" }),
        }),
      );
    }
    this._response = make("Response", "response", RESPONSE_OPTIONS);
    const measures = Object.entries(MEASURES).map(([value, { text }]) => ({ value, text }));
    this._measure = make("Measure", "measure", measures);
    this._level = make("Mark q ≤", "q", LEVELS.map((value) => ({ value, text: value })));
    this._order = choice({ label: "Order", options: [], value: "", onchange: (order) => this._setOrder(order) });
    this._edit = html("button", { type: "button", text: "Edit…", onclick: () => this._editOrder() });
    this._compare = make("Compare with", "compare", []);
    this._layout = make("As", "layout", LAYOUTS);
    const choices = [this._response, this._measure, this._level];
    const order = html("span", { class: "choice" }, this._order, this._edit);
    const comparison = html("span", { class: "choices" }, this._compare, this._layout);
    this.node = html("div", { class: "controls" }, this._tables, ...choices, order, comparison);
    container.append(this.node);
  }

  /** Follows the study and the state. */
  update(entry, state, studies) {
    this._entry = entry;
    this._state = state;
    const shown = shownTable(entry, state.table);
    for (const [index, [table, , meaning]] of TABLES.entries()) {
      const button = this._tables.children[index];
      const isThere = (entry.tables ?? []).includes(table);
      const why = table === BY_CLASS && !entry.study.has_all_pairs ? NEEDS_ALL_PAIRS : NOT_YET;
      button.disabled = !isThere;
      button.title = isThere ? meaning : why;
      button.setAttribute("aria-pressed", String(table === shown));
    }
    const known = (options, value) => (options.some((one) => one.value === value) ? value : options[0].value);
    this._response.select.value = known(RESPONSE_OPTIONS, state.response);
    this._measure.select.value = knownMeasure(state.measure);
    this._level.select.value = knownLevel(state);
    this._layout.select.value = known(LAYOUTS, state.layout);
    const orders = [
      { value: "label", text: "label" },
      { value: "cluster", text: "by clustering", disabled: !entry.class_order },
      { value: "hand", text: "by hand" },
    ];
    setOptions(this._order.select, orders, shownOrder(entry, state));
    this._order.title = entry.class_order ? "" : "Classes are clustered once every cell of T × C has a test.";
    this._edit.hidden = state.order !== "hand";
    const others = studies.filter((one) => isComparable(entry, one));
    const compared = [{ value: "", text: "nothing" }, ...others.map((one) => ({ value: one.run, text: studyName(one) }))];
    const other = otherOf(entry, state, studies);
    setOptions(this._compare.select, compared, other?.run ?? "");
    this._compare.select.disabled = others.length === 0;
    this._compare.title = others.length ? "" : "There is no other confusion study of the same classes here.";
    this._layout.hidden = !other;
  }

  _setOrder(order) {
    if (order !== "hand") return this._store.set({ order });
    // The reader goes on from what is shown, or from where they were.
    const numClasses = this._entry.study.class_names.length;
    const hand = parseOrder(this._state.hand, numClasses) ?? classOrder(this._entry, this._state);
    this._store.set({ order, hand: hand.join(".") });
    return this._editOrder();
  }

  _editOrder() {
    const { study } = this._entry;
    const labels = study.class_names.map((_, label) => label);
    const presets = [{ text: "By label", order: labels }];
    if (this._entry.class_order) presets.push({ text: "By clustering", order: classOrder(this._entry, { order: "cluster" }) });
    openClassOrder({
      names: labels.map((label) => className(study, label)),
      order: classOrder(this._entry, this._store.get()),
      presets,
      onchange: (order) => this._store.set({ order: "hand", hand: order.join(".") }),
    });
  }
}

/** The order that is shown: a hand-made one that is none is no order. */
function shownOrder(entry, state) {
  if (state.order === "cluster" && entry.class_order) return "cluster";
  if (state.order === "hand" && parseOrder(state.hand, entry.study.class_names.length)) return "hand";
  return "label";
}
