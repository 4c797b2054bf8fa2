/** What a cell says while it is pointed at: at once what is known, then everything. */

import { html } from "./dom.js";
import { shorten } from "./grid_frame.js";
import { testTitles } from "./measures.js";
import { shortFacts } from "./statistics.js";
import { factsOf, hideTooltip, showTooltip, tooltipTurn } from "./tooltip.js";

const PAUSE_MS = 60;
const LONGEST = 20; // letters of a study's name

/** The tooltip of the heat maps. */
export class CellTip {
  /** @param {CellCache} cache */
  constructor(cache) {
    this._cache = cache;
    this._shown = 0;
  }

  /**
   * Shows a cell.
   * @param {DOMRect} rect
   * @param {{title: string, facts: Array<Array<string>>, kept: Array<Array<string>>,
   *   difference: string, note: string, sides: Array<{name: string, entry: Object,
   *   place: Object|null}>}} about `facts` are known, a name and a value a study; `kept`
   *   are those that the statistics lack. `place` is the cell to ask for, null where the
   *   study has no such cell.
   */
  show(rect, about) {
    clearTimeout(this._timer);
    this._shown += 1;
    const number = this._shown;
    const turn = tooltipTurn();
    const troubles = new Set();
    const draw = () => {
      // Scrolling hides it too, and nobody tells of that.
      if (number !== this._shown || turn !== tooltipTurn()) return;
      showTooltip(rect, ...this._content(about, troubles));
    };
    draw();
    const missing = about.sides.filter(({ entry, place }) => place && !this._cache.peek(entry, place));
    if (missing.length === 0) return;
    this._timer = setTimeout(() => {
      for (const { entry, place } of missing) {
        this._cache.get(entry, place).then(draw, (error) => {
          troubles.add(error.message);
          draw();
        });
      }
    }, PAUSE_MS);
  }

  hide() {
    clearTimeout(this._timer);
    this._shown += 1;
    hideTooltip();
  }

  _content({ title, facts, kept, difference, note, sides }, troubles) {
    const cells = sides.map(({ entry, place }) => place && this._cache.peek(entry, place));
    const asked = cells.filter((_, index) => sides[index].place);
    const below = after(asked, troubles);
    // All of them or none: the tooltip changes once.
    const known = asked.length && asked.every(Boolean) && asked.some(hasNetworks) ? zipped(cells) : null;
    const rows = known ? [...kept, ...known] : facts;
    if (!difference) return [...factsOf(title, rows, note), ...below];
    const table = tableOf([["", ...sides.map(({ name }) => shorten(name, LONGEST))], ...rows]);
    const remark = note ? [html("p", { class: "muted", text: note })] : [];
    return [html("strong", { text: title }), html("p", { text: difference }), table, ...remark, ...below];
  }
}

function hasNetworks({ statistics }) {
  return Boolean(statistics.n_confused || statistics.n_comparison);
}

/** Rows of several cells: a name, and a value of each; "–" where there is no cell. */
function zipped(cells) {
  const testTitle = testTitles(cells.filter(Boolean).map((cell) => cell.test_title));
  const all = cells.map((cell) => cell && shortFacts(cell, testTitle));
  return all.find(Boolean).map(([name], row) => [name, ...all.map((facts) => facts?.[row][1] ?? "–")]);
}

function tableOf(rows) {
  const table = html("table", { class: "tip-table" });
  for (const row of rows) table.append(html("tr", {}, ...row.map((text) => html("td", { text }))));
  return table;
}

/** What is to be said below: that there is no test, no answer, or none yet. */
function after(cells, troubles) {
  if (troubles.size) {
    return [...troubles].map((text) => html("p", { class: "warning", text: `The statistics could not be read: ${text}` }));
  }
  if (cells.some((cell) => !cell)) return [html("p", { class: "muted", text: "…" })];
  return cells
    .filter((cell) => cell.reason)
    .map((cell) => html("p", { class: "warning", text: `No test: ${cell.reason}.` }));
}
