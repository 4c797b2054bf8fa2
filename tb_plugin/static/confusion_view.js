/** The confusion view: what it costs a class that two classes are not told apart. */

import { Latest, getBlob, getFloats } from "./api.js";
import { theme } from "./colours.js";
import { CellCache } from "./cell_cache.js";
import { CellDialog } from "./confusion_cell.js";
import { Controls, knownLevel, otherOf } from "./confusion_controls.js";
import { RESPONSES, classOrder, parseCell, rowsOfOther, shownTable, studyName } from "./confusion_data.js";
import { contentsOf, notesOf } from "./confusion_maps.js";
import { HeatPanel } from "./heat_panel.js";
import { CellTip } from "./confusion_tip.js";
import { html, replace } from "./dom.js";
import { knownMeasure } from "./measures.js";

const EXPLANATION =
  "Confused classes are weaker rivals, which raises the raw accuracy of the others; with the pair left " +
  "out of the choice, what still moves was done by the features or by the last layer.";
const MAX_MATRICES = 16;
const MANY_CLASSES = 20;
const FETCHING_MS = 250;

/**
 * Shows the view in a container.
 * @param {HTMLElement} container
 * @param {{store: Object}} page
 * @return {{update: function(Object, Object, Array), redraw: function(),
 *   onKey: function(KeyboardEvent), destroy: function()}}
 */
export function create(container, { store }) {
  return new ConfusionView(container, store);
}

class ConfusionView {
  constructor(container, store) {
    this._store = store;
    this._cells = new CellCache();
    this._tip = new CellTip(this._cells);
    this._latest = new Latest();
    this._matrices = new Map(); // answers by request
    this._panels = new Map(); // by slot
    this._controls = new Controls(container, store);
    this._alert = html("p", { class: "warning", role: "alert", hidden: true });
    this._explanation = html("p", { class: "explanation", text: EXPLANATION });
    this._notice = html("div", { class: "notice", hidden: true });
    this._grids = html("div", { class: "heat-maps" });
    this._notes = html("p", { class: "explanation", role: "status" });
    container.append(this._explanation, this._alert, this._notice, this._grids, this._notes);
  }

  /** Follows the study, the state and the other studies; called every few seconds. */
  update(entry, state, studies) {
    this._entry = entry;
    this._state = state;
    this._other = otherOf(entry, state, studies);
    this._controls.update(entry, state, studies);
    const table = shownTable(entry, state.table);
    // Another table may come later, and cells of the address are those of the shown one.
    if (table !== null && table !== state.table) return this._store.set({ table });
    this._showNotice(table === null);
    if (table === null) return this._closeCell();
    this._fetch(this._plan(table));
    return this._syncCell(table);
  }

  /** Draws anew, for other colours. */
  redraw() {
    this._draw();
    this._cell?.redraw();
  }

  onKey(event) {
    if (event.key === "Escape") this._tip.hide();
  }

  destroy() {
    this._latest.drop();
    clearTimeout(this._timer);
    this._tip.hide();
    this._closeCell();
    this._clear();
  }

  _showNotice(isEmpty) {
    this._notice.hidden = !isEmpty;
    for (const node of [this._grids, this._notes, this._explanation]) node.hidden = isEmpty;
    if (!isEmpty) return;
    this._alert.hidden = true;
    const { num_done: done, num_planned: planned } = this._entry.progress;
    const facts = this._entry.study.has_all_pairs
      ? "Statistics appear with the first comparison, and grow more certain with every network."
      : "Statistics appear when the first networks of a pair and of the baseline were compared.";
    replace(
      this._notice,
      html("h2", { text: "No comparison yet" }),
      html("p", { text: `${done} of ${planned} networks done. ${facts}` }),
      html("p", { class: "muted", text: "This page follows the study by itself." }),
    );
  }

  /** What is asked for: sources are answers of the server, whatever is made of them. */
  _plan(table) {
    const { _entry: entry, _other: other, _state: state } = this;
    const measure = knownMeasure(state.measure);
    const responses = Object.hasOwn(RESPONSES, state.response) ? [state.response] : Object.keys(RESPONSES);
    const sides = [{ entry, name: studyName(entry), rowOf: null, isThere: true }];
    if (other) {
      sides.push({
        entry: other,
        name: studyName(other),
        rowOf: rowsOfOther(entry.study, other.study, table),
        isThere: (other.tables ?? []).includes(table),
      });
    }
    return { table, measure, responses, sides };
  }

  _fetch(plan) {
    const requests = plan.responses.flatMap((response) =>
      plan.sides.map((side) => ({ response, side, key: side.isThere ? requestKey(plan, side, response) : null })),
    );
    const key = JSON.stringify(requests.map((request) => request.key));
    if (key === this._shownKey) {
      this._pendingKey = null;
      this._setFetching(false);
      this._latest.drop();
      // Names and progress may have changed.
      this._shownPlan = plan;
      this._alert.hidden = true;
      return this._draw();
    }
    if (key === this._pendingKey) return undefined;
    this._pendingKey = key;
    this._setFetching(true);
    const answers = Promise.all(requests.map((request) => (request.key ? this._matrix(request.key) : null)));
    return this._latest.take(
      answers,
      (matrices) => {
        this._pendingKey = null;
        this._shownKey = key;
        this._shownPlan = plan;
        this._shown = new Map(requests.map((request, index) => [slotOf(request), matrices[index]]));
        this._setFetching(false);
        this._alert.hidden = true;
        this._draw();
      },
      (error) => {
        // The next update asks again.
        this._pendingKey = null;
        this._setFetching(false);
        // Another study's picture would pass for this one's.
        if (this._shownPlan?.sides[0].entry.run !== plan.sides[0].entry.run) this._clear();
        this._alert.textContent = `The comparison could not be read: ${error.message}`;
        this._alert.hidden = false;
      },
    );
  }

  _clear() {
    for (const panel of this._panels.values()) panel.destroy();
    this._panels.clear();
    this._shown = this._shownKey = this._drawn = null;
    this._notes.textContent = "";
  }

  /** A matrix; kept, as a reader goes back and forth between responses and measures. */
  _matrix(key) {
    if (!this._matrices.has(key)) {
      const promise = getFloats("confusion/matrix", JSON.parse(key));
      promise.catch(() => this._matrices.delete(key));
      this._matrices.set(key, promise);
      if (this._matrices.size > MAX_MATRICES) this._matrices.delete(this._matrices.keys().next().value);
    }
    return this._matrices.get(key);
  }

  _setFetching(isFetching) {
    clearTimeout(this._timer);
    if (!isFetching) this._grids.classList.remove("fetching");
    else this._timer = setTimeout(() => this._grids.classList.add("fetching"), FETCHING_MS);
  }

  /** Draws what was fetched in the order, level and layout of the state. */
  _draw() {
    if (!this._shown) return;
    const plan = this._shownPlan;
    const [{ entry }] = plan.sides;
    const isDifference = plan.sides.length > 1 && this._state.layout === "difference";
    const order = classOrder(entry, this._state);
    const level = knownLevel(this._state);
    const { find } = this._state;
    const drawn = JSON.stringify([this._shownKey, isDifference, order, level, find, theme(), entry.progress.num_in_tables]);
    if (drawn === this._drawn) return;
    this._drawn = drawn;
    const maps = contentsOf({ plan, shown: this._shown, isDifference, order, level: Number(level), find });
    const slots = new Set(maps.map((map) => map.slot));
    for (const [slot, panel] of this._panels) {
      if (slots.has(slot)) continue;
      panel.destroy();
      this._panels.delete(slot);
    }
    for (const map of maps) {
      if (!this._panels.has(map.slot)) this._panels.set(map.slot, this._panel());
    }
    const nodes = maps.map((map) => this._panels.get(map.slot).node);
    // Only then: a node that is put in again loses the focus.
    if (nodes.some((node, index) => this._grids.children[index] !== node)) replace(this._grids, ...nodes);
    this._grids.classList.toggle("alone", maps.length === 1);
    this._grids.classList.toggle("many", order.length > MANY_CLASSES);
    for (const map of maps) this._panels.get(map.slot).update(map);
    const notes = notesOf({ plan, maps, isDifference });
    if (this._notes.textContent !== notes) this._notes.textContent = notes;
  }

  _panel() {
    const panel = new HeatPanel({
      csvOf: (entry, table) => getBlob("confusion/csv", { run: entry.run, table }),
      onhover: (row, column, rect, about) => {
        this._tip.show(rect, about);
        for (const other of this._panels.values()) if (other !== panel) other.point([row, column]);
      },
      onleave: () => {
        this._tip.hide();
        for (const other of this._panels.values()) if (other !== panel) other.point(null);
      },
      onopen: ({ response, row, target }) => {
        this._tip.hide();
        this._store.set({ cell: [response, row, target].join(".") }, { push: true });
      },
    });
    return panel;
  }

  /** Opens, follows or closes the cell that the address asks for. */
  _syncCell(table) {
    const cell = parseCell(this._state.cell, this._entry.study, table);
    if (!cell) return this._closeCell();
    const { run } = this._entry;
    const name = JSON.stringify([run, table, cell]);
    if (this._cellName !== name) {
      this._closeCell();
      this._cellName = name;
      this._cell = new CellDialog(this._cells, { table, ...cell }, {
        onclose: () => {
          this._cell = null;
          this._cellName = null;
          this._store.undo({ cell: "" });
        },
      });
    }
    const sides = this._plan(table).sides.map((side) => ({
      name: side.name,
      entry: side.entry,
      row: !side.isThere ? undefined : side.rowOf ? side.rowOf[cell.row] : cell.row,
    }));
    return this._cell.update(sides);
  }

  _closeCell() {
    this._cell?.close();
    this._cell = null;
    this._cellName = null;
  }
}

function slotOf({ side, response }) {
  return JSON.stringify([side.entry.run, response]);
}

function requestKey({ table, measure }, { entry }, response) {
  const columns = `${measure},q_value`;
  return JSON.stringify({ run: entry.run, table, response, columns, stamp: entry.stamp });
}
