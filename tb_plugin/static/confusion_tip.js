/** What a cell says while it is pointed at: at once what is known, then everything. */

import { html } from "./dom.js";
import { shorten } from "./grid_frame.js";
import { shortFacts } from "./statistics.js";
import { factsOf, hideTooltip, showTooltip } from "./tooltip.js";

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
   * @param {{title: string, facts: Array<Array<string>>, difference: string, note: string,
   *   asked: Array<{name: string, entry: Object, place: Object}>}} about `facts` are
   *   known, a name and a value a study; `asked` are the cells to ask for.
   */
  show(rect, about) {
    clearTimeout(this._timer);
    this._shown += 1;
    const number = this._shown;
    const draw = () => {
      if (number === this._shown) showTooltip(rect, ...this._content(about));
    };
    draw();
    const missing = about.asked.filter(({ entry, place }) => !this._cache.peek(entry, place));
    if (missing.length === 0) return;
    this._timer = setTimeout(() => {
      for (const { entry, place } of missing) {
        // Why there is no answer is told where the matrix is asked for.
        this._cache.get(entry, place).then(draw, () => {});
      }
    }, PAUSE_MS);
  }

  hide() {
    clearTimeout(this._timer);
    this._shown += 1;
    hideTooltip();
  }

  _content({ title, facts, difference, note, asked }) {
    const cells = asked.map(({ entry, place }) => this._cache.peek(entry, place));
    const known = cells.filter(Boolean);
    if (!difference) {
      const rows = known.length ? [...facts, ...factsOfCell(known[0])] : facts;
      return [...factsOf(title, rows, note), ...after(cells)];
    }
    const more = known.length === facts[0].length - 1 ? zipped(known.map(shortFacts)) : [];
    const table = tableOf([["", ...asked.map(({ name }) => shorten(name, LONGEST))], ...facts, ...more]);
    return [html("strong", { text: title }), html("p", { text: difference }), table, ...after(cells)];
  }
}

function factsOfCell(cell) {
  const { n_confused: confused, n_comparison: comparison } = cell.statistics;
  return confused || comparison ? shortFacts(cell) : [];
}

/** Rows of several cells: a name, and a value of each. */
function zipped(all) {
  return all[0].map(([name], row) => [name, ...all.map((facts) => facts[row][1])]);
}

function tableOf(rows) {
  const table = html("table", { class: "tip-table" });
  for (const row of rows) table.append(html("tr", {}, ...row.map((text) => html("td", { text }))));
  return table;
}

/** What is to be said below: that there is no test, or no answer yet. */
function after(cells) {
  if (cells.some((cell) => !cell)) return [html("p", { class: "muted", text: "…" })];
  return cells
    .filter((cell) => cell.reason)
    .map((cell) => html("p", { class: "warning", text: `No test: ${cell.reason}.` }));
}
