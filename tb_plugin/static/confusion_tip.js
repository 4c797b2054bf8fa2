/** What a cell says while it is pointed at: at once what is known, then everything. */

import { html } from "./dom.js";
import { shortFacts } from "./statistics.js";
import { factsOf, hideTooltip, showTooltip } from "./tooltip.js";

const PAUSE_MS = 60;

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
   * @param {{title: string, facts: Array<[string, string]>, note: string,
   *   asked: Array<{name: string, entry: Object, place: Object}>}} about `facts` are
   *   known; `asked` are the cells to ask for, with a name where there are several.
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

  _content({ title, facts, note, asked }) {
    const content = factsOf(title, facts, note);
    for (const { name, entry, place } of asked) {
      const cell = this._cache.peek(entry, place);
      if (name) content.push(html("strong", { class: "tip-part", text: name }));
      if (!cell) {
        content.push(html("p", { class: "muted", text: "…" }));
        continue;
      }
      if (cell.reason) content.push(html("p", { class: "warning", text: `No test: ${cell.reason}.` }));
      if (cell.statistics.n_confused || cell.statistics.n_comparison) {
        content.push(...factsOf("", shortFacts(cell)).slice(1));
      }
    }
    return content;
  }
}
