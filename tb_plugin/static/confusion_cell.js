/** An opened cell: what it says, every network behind it, and all of its statistics. */

import { getBlob } from "./api.js";
import { className } from "./class_names.js";
import { BY_CLASS, RESPONSES, rowName, studyName } from "./confusion_data.js";
import { openDialog } from "./dialog.js";
import { html, replace } from "./dom.js";
import { Dots, domainOf } from "./dots.js";
import { saveButtons } from "./files.js";
import { shorten } from "./grid_frame.js";
import { allFacts, networksCsv, statisticsCsv } from "./statistics.js";

const LONGEST = 40; // letters of a name in a title

/** The dialog of a cell; of the same cell of two studies where they are compared. */
export class CellDialog {
  /**
   * @param {CellCache} cache
   * @param {{table: string, response: string, row: number, target: number}} place
   * @param {{onclose: function()}} listeners Called when the reader closes it.
   */
  constructor(cache, place, { onclose }) {
    this._cache = cache;
    this.place = place;
    this._plots = [];
    this._parts = html("div", {});
    this._tables = html("div", { class: "fact-tables" });
    this._alert = html("p", { class: "warning", role: "alert", hidden: true });
    this._save = saveButtons({ csv: () => statisticsCsv(this._cells), name: () => this._fileName("statistics") });
    this._statistics = html(
      "section",
      { hidden: true },
      html("div", { class: "section-head" }, html("h3", { text: "Statistics" }), this._save),
      this._tables,
    );
    this._missing = html("p", { class: "muted", hidden: true });
    this._waiting = html("p", { class: "muted", text: "Asking…" });
    this._onclose = onclose;
    this._isOpen = false;
  }

  /**
   * Follows the data.
   * @param {Array<{name: string, entry: Object, row: number|undefined}>} sides The study,
   *   and the one that it is compared with; `row` of each, undefined where it has none.
   */
  async update(sides) {
    const key = JSON.stringify(sides.map(({ entry, row }) => [entry.run, entry.stamp, row]));
    if (key === this._key) return;
    this._key = key;
    this._sides = sides;
    this._open();
    const there = sides.filter(({ row }) => row !== undefined);
    let cells;
    try {
      cells = await Promise.all(there.map(({ entry, row }) => this._cache.get(entry, { ...this.place, row })));
    } catch (error) {
      if (key !== this._key) return;
      this._key = null; // to be asked for again
      this._alert.textContent = error.message;
      this._alert.hidden = false;
      this._waiting.hidden = true;
      return;
    }
    if (key !== this._key || !this._isOpen) return;
    this._cells = cells;
    this._names = there.map(({ name }) => name);
    this._studies = there.map(({ entry }) => entry.study);
    const missing = sides.filter(({ row }) => row === undefined).map(({ name }) => name);
    this._missing.textContent = `Not in ${missing.join(", ")}.`;
    this._missing.hidden = missing.length === 0;
    this._alert.hidden = true;
    this._waiting.hidden = true;
    this._statistics.hidden = false;
    this._draw();
  }

  /** Draws anew, for other colours. */
  redraw() {
    for (const { plot, content } of this._plots) plot.update(content);
  }

  /** Closes it without telling. */
  close() {
    this._onclose = null;
    this._dialog?.close();
  }

  _open() {
    if (this._isOpen) return;
    this._isOpen = true;
    const { table, response, row, target } = this.place;
    const { study } = this._sides[0].entry;
    const names = [className(study, target), rowName(study, table, row)].map((name) => shorten(name, LONGEST));
    const title = `Effect on ${names[0]} of confusing ${names[1]} — ${RESPONSES[response].text}`;
    this._dialog = openDialog(title, [this._alert, this._waiting, this._parts, this._missing, this._statistics], {
      wide: true,
      onclose: () => {
        this._isOpen = false;
        this._key = null;
        for (const { plot } of this._plots) plot.destroy();
        this._onclose?.();
      },
    });
  }

  _fileName(what) {
    const { table, response, row, target } = this.place;
    const { entry } = this._sides[0];
    const { study } = entry;
    return [studyName(entry), what, response, className(study, target), rowName(study, table, row)];
  }

  _draw() {
    const cells = this._cells;
    // One scale for both studies.
    const domain = domainOf(cells.flatMap((cell) => cell.groups));
    if (this._plots.length !== cells.length) {
      for (const { plot } of this._plots) plot.destroy();
      this._plots = cells.map((_, index) => this._part(index));
      replace(this._parts, ...this._plots.map(({ node }) => node));
    }
    cells.forEach((cell, index) => {
      const part = this._plots[index];
      const isSeveral = this._sides.length > 1;
      part.name.textContent = this._names[index];
      part.name.hidden = !isSeveral;
      part.sentence.textContent = cell.sentence;
      part.note.textContent = noteOf(cell);
      part.note.hidden = !part.note.textContent;
      const hasDots = cell.groups.some((group) => group.num_networks > 0);
      part.box.hidden = !hasDots;
      part.content = contentOf(cell, this._studies[index], isSeveral ? this._names[index] : "", domain);
      part.plot.update(part.content);
    });
    replace(this._tables, ...tablesOf(cells, this._names));
  }

  _part(index) {
    const name = html("h3", {});
    const sentence = html("p", { class: "sentence" });
    const note = html("p", { class: "warning" });
    const box = html("div", { class: "drawing" });
    const plot = new Dots(box);
    const buttons = saveButtons({
      drawing: () => plot.svg,
      csv: () => networksOf(this._cells[index]),
      name: () => this._fileName("networks"),
    });
    box.prepend(html("div", { class: "panel-head" }, buttons));
    const node = html("section", {}, name, sentence, note, box);
    return { node, name, sentence, note, box, plot };
  }
}

/** All networks of a cell as CSV; the page has none of those that are drawn as bars. */
function networksOf(cell) {
  if (!cell.groups.some((group) => group.bins)) return networksCsv([cell]);
  const { run, table, response, row, target } = cell;
  return getBlob("confusion/networks_csv", { run, table, response, row, target });
}

function noteOf(cell) {
  if (cell.networks_reason) return `No single networks: ${cell.networks_reason}.`;
  const { n_confused: confused, n_comparison: comparison } = cell.statistics;
  const shown = cell.groups.map((group) => group.num_networks);
  if ((confused ?? 0) <= shown[0] && (comparison ?? 0) <= shown[1]) return "";
  return (
    `TensorBoard kept ${shown[0]} of ${confused} and ${shown[1]} of ${comparison} networks; ` +
    "the statistics are of all of them. Start it with --samples_per_plugin=keras_confusion=0 to see all."
  );
}

function contentOf(cell, study, name, domain) {
  const isWithoutPair = cell.response === "accuracy_without_pair";
  const isLevelled = isWithoutPair && cell.table === BY_CLASS;
  const target = shorten(className(study, cell.target), LONGEST);
  const what = `accuracy of ${target}${isWithoutPair ? " without the pair" : ""}`;
  const title = `${what}, ${shorten(rowName(study, cell.table, cell.row), LONGEST)} confused`;
  return {
    title: title[0].toUpperCase() + title.slice(1) + (name && ` — ${name}`),
    subtitle: isLevelled
      ? "Levels of the left-out pairs are taken out: leaving out different pairs gives different accuracies."
      : cell.groups.some((group) => group.bins)
        ? "How many networks have which accuracy on the test images of the target."
        : "Single networks, on the test images of the target.",
    xTitle: `${what}, %`,
    groups: cell.groups,
    domain,
  };
}

/** A table a section, beside each other where there is room. */
function tablesOf(cells, names) {
  return allFacts(cells).map(({ title, rows }) => {
    const table = html("table", { class: "data statistics" });
    table.append(html("caption", { text: title }));
    if (cells.length > 1) {
      const heads = names.map((name) => html("th", { scope: "col", text: name }));
      table.append(html("thead", {}, html("tr", {}, html("td", {}), ...heads)));
    }
    const body = html("tbody", {});
    for (const { name, values } of rows) {
      const cellsOf = values.map((value) => html("td", { text: value }));
      body.append(html("tr", {}, html("th", { scope: "row", text: name }), ...cellsOf));
    }
    table.append(body);
    return table;
  });
}
