/** The choices above the heat maps. */

import { className, classNames, findClasses } from "./class_names.js";
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
import { choice, html, replace, setOptions, uniqueId } from "./dom.js";
import { knownMeasure, measureOptions, testTitles } from "./measures.js";

const TABLES = [
  [BY_CLASS, "T × C", "Rows: the target T. Columns: a class C that was confused with any other."],
  [BY_PAIR, "T × pair", "Rows: the pair of classes that was confused. Columns: the target T."],
];
const NEEDS_ALL_PAIRS = "Needs a study of all pairs of classes; this one has some of them.";
const NOT_YET = "Not made yet.";
const TOO_MANY_PAIRS = "Left out of studies of so many pairs and classes; T × C has them all.";
// Of pairs times classes, as in metadata.py.
const MAX_PAIR_CELLS = 50_000;
// Classes of a study in which one is hard to find.
const MANY_CLASSES = 20;
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
    this._measure = make("Measure", "measure", []);
    this._level = make("Mark q ≤", "q", LEVELS.map((value) => ({ value, text: value })));
    this._order = choice({ label: "Order", options: [], value: "", onchange: (order) => this._setOrder(order) });
    this._edit = html("button", { type: "button", text: "Edit…", onclick: () => this._editOrder() });
    this._compare = make("Compare with", "compare", []);
    this._layout = make("As", "layout", LAYOUTS);
    this._find = html("input", {
      type: "search",
      class: "find",
      list: uniqueId("classes"),
      placeholder: "Find a class",
      "aria-label": "Find a class",
      autocomplete: "off",
      oninput: () => store.set({ find: this._find.value }),
    });
    this._names = html("datalist", { id: this._find.getAttribute("list") });
    this._found = html("span", { class: "muted", role: "status" });
    this._finding = html("span", { class: "choice" }, this._find, this._names, this._found);
    const choices = [this._response, this._measure, this._level];
    const order = html("span", { class: "choice" }, this._order, this._edit);
    const comparison = html("span", { class: "choices" }, this._compare, this._layout);
    this.node = html("div", { class: "controls" }, this._tables, ...choices, order, this._finding, comparison);
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
      const why = whyNot(entry.study, table);
      button.disabled = !isThere;
      button.title = isThere ? meaning : why;
      button.setAttribute("aria-pressed", String(table === shown));
    }
    const known = (options, value) => (options.some((one) => one.value === value) ? value : options[0].value);
    this._response.select.value = known(RESPONSE_OPTIONS, state.response);
    const other = otherOf(entry, state, studies);
    const titles = [entry, other].filter(Boolean).map((one) => one.test_title);
    setOptions(this._measure.select, measureOptions(testTitles(titles)), knownMeasure(state.measure));
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
    this._showFinding(entry, state);
    const others = studies.filter((one) => isComparable(entry, one));
    const compared = [{ value: "", text: "nothing" }, ...others.map((one) => ({ value: one.run, text: studyName(one) }))];
    setOptions(this._compare.select, compared, other?.run ?? "");
    this._compare.select.disabled = others.length === 0;
    this._compare.title = others.length ? "" : "There is no other confusion study of the same classes here.";
    this._layout.hidden = !other;
  }

  _showFinding({ study }, state) {
    this._finding.hidden = study.class_names.length <= MANY_CLASSES;
    // What is being typed stays.
    if (this._find.value !== state.find) this._find.value = state.find;
    const names = classNames(study);
    const shown = JSON.stringify(names);
    if (this._shownNames !== shown) replace(this._names, ...names.map((value) => html("option", { value })));
    this._shownNames = shown;
    const number = findClasses(study, state.find).length;
    const told = !state.find.trim() || number === 1 ? "" : number ? `${number} classes` : "no such class";
    if (this._found.textContent !== told) this._found.textContent = told;
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

/** Why a study has no such table. */
function whyNot(study, table) {
  if (table === BY_CLASS) return study.has_all_pairs ? NOT_YET : NEEDS_ALL_PAIRS;
  return study.pairs.length * study.class_names.length > MAX_PAIR_CELLS ? TOO_MANY_PAIRS : NOT_YET;
}

/** The order that is shown: a hand-made one that is none is no order. */
function shownOrder(entry, state) {
  if (state.order === "cluster" && entry.class_order) return "cluster";
  if (state.order === "hand" && parseOrder(state.hand, entry.study.class_names.length)) return "hand";
  return "label";
}
