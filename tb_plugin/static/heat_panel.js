/** A heat map with its buttons, or the reason why there is none. */

import { differenceCsv, studyName } from "./confusion_data.js";
import { html } from "./dom.js";
import { saveButtons } from "./files.js";
import { Grid } from "./grid.js";

/** One panel; give it a map of confusion_maps.js with `update`. */
export class HeatPanel {
  /**
   * @param {{csvOf: function(Object, string): Promise<Blob>, onhover: function,
   *   onleave: function, onopen: function}} listeners `onhover` is told row, column,
   *   rectangle and what is known; `onopen` the cell.
   */
  constructor({ csvOf, onhover, onleave, onopen }) {
    this._csvOf = csvOf;
    this._missing = html("p", { class: "muted", hidden: true });
    this._box = html("div", {});
    this._grid = new Grid(this._box, {
      onhover: (row, column, rect) => onhover(row, column, rect, this._map.about(row, column)),
      onleave,
      onopen: (row, column) => {
        const { cell } = this._map.about(row, column);
        if (cell) onopen(cell);
      },
    });
    const buttons = saveButtons({
      drawing: () => this._grid.svg,
      csv: () => this._csv(),
      name: (suffix) => this._name(suffix),
    });
    this._head = html("div", { class: "panel-head" }, buttons);
    this.node = html("section", { class: "panel" }, this._head, this._missing, this._box);
  }

  update(map) {
    this._map = map;
    const hasContent = map.content !== null;
    this._box.hidden = !hasContent;
    this._head.hidden = !hasContent;
    this._missing.hidden = hasContent;
    if (hasContent) this._grid.update(map.content);
    else this._missing.textContent = map.missing;
  }

  /** Points out a cell that is pointed at elsewhere; null for none. */
  point(place) {
    this._grid.point(place ? [place] : []);
  }

  destroy() {
    this._grid.destroy();
    this.node.remove();
  }

  _name(suffix) {
    const { sides, parts, response, plan } = this._map;
    const names = [...sides.map(({ entry }) => studyName(entry)), plan.table];
    // The numbers of a study are the whole table: all responses and measures.
    return suffix === "csv" && !parts ? names : [...names, response, plan.measure];
  }

  _csv() {
    const { sides, parts, plan, layout, response, values } = this._map;
    if (!parts) return this._csvOf(sides[0].entry, plan.table);
    return differenceCsv({
      layout,
      study: sides[0].entry.study,
      table: plan.table,
      response,
      measure: plan.measure,
      runs: sides.map(({ entry }) => entry.run),
      parts: parts.map((part) => part.values),
      values,
    });
  }
}
