/** How the measures develop with the training: the poster's question, charts, a table. */

import { getBlob } from "./api.js";
import { html, replace } from "./dom.js";
import { saveButtons, toCsv } from "./files.js";
import { Lines } from "./lines.js";
import { fixed } from "./numbers.js";
import { accuracyName, answerOf, countText, largestOf, trendColumn } from "./prototype_data.js";
import { Requested } from "./prototype_source.js";

const X_TITLE = "percent of the training";
const CHARTS = [
  {
    file: "means",
    title: "Mean of C and R",
    yTitle: "dissimilarity",
    series: [
      ["C", "mean_c"],
      ["R", "mean_r"],
    ],
  },
  {
    file: "standard_deviations",
    title: "Standard deviation within C and R",
    yTitle: "dissimilarity",
    series: [
      ["C", "sd_c"],
      ["R", "sd_r"],
    ],
  },
  {
    file: "quality",
    title: "M_g and M_adv need no data, accuracy does",
    yTitle: "share",
    series: [
      ["M_g", "m_g"],
      ["M_adv", "m_adv"],
      ["accuracy", "test_accuracy"],
    ],
  },
];
const OUTLIERS = [
  ["C, pooled", "outliers_c_pooled"],
  ["C, of means", "outliers_c_of_means"],
  ["R, pooled", "outliers_r_pooled"],
  ["R, of means", "outliers_r_of_means"],
];

/** Everything that goes over the intervals. */
export class TrendsPanel {
  /** @param {{oninterval: function(number)}} listeners */
  constructor(container, { oninterval }) {
    this._oninterval = oninterval;
    this._requested = new Requested(() => this._draw(), { what: "The trends", node: () => this.node });
    this._answer = html("div", { class: "answer" });
    const charts = html("div", { class: "charts" });
    this._charts = CHARTS.map((chart) => this._chart(charts, chart));
    this._table = html("div", { class: "table-box" });
    const csv = (table, text) =>
      html("span", { class: "csv" }, html("span", { class: "muted", text }), this._csvButtons(table));
    this.node = html(
      "section",
      { class: "trends", "aria-label": "Over the training" },
      html("h2", { text: "Does C grow with training while R stays low?" }),
      this._requested.alert,
      this._answer,
      charts,
      html(
        "div",
        { class: "table-head" },
        html("h3", { text: "Outliers: share of dissimilarities with |z| > 3" }),
        this._outlierButtons(),
      ),
      html("p", {
        class: "explanation",
        text:
          "“pooled” takes mean and standard deviation of all values of a matrix (at most 11.1 % can then be " +
          "outliers); “of means” takes those of the n² array means C[k, j, :], which spread less, so that any " +
          "share can occur. Mean ± standard deviation over the initialisations.",
      }),
      this._table,
      html(
        "p",
        { class: "files" },
        html("strong", { text: "All numbers" }),
        csv("trends", "trends"),
        csv("measures", "of every initialisation"),
        csv("images", "of every image"),
      ),
    );
    container.append(this.node);
  }

  /** @param {Choices} choices */
  update(choices, source) {
    this._choices = choices;
    const { run, stamp, study } = choices;
    this._requested.want(JSON.stringify([run, stamp]), async () => ({ study, overview: await source.overview() }));
    if (this._interval !== choices.interval) {
      this._interval = choices.interval;
      this._draw();
    }
  }

  redraw() {
    this._draw();
  }

  destroy() {
    this._requested.destroy();
    for (const { lines } of this._charts) lines.destroy();
  }

  _chart(container, { file, series }) {
    const head = html("div", { class: "panel-head" });
    const node = html("div", { class: "chart" }, head);
    container.append(node);
    const lines = new Lines(node, { onselect: (interval) => this._oninterval(interval) });
    head.append(
      saveButtons({
        drawing: () => lines.svg,
        csv: () => this._chartCsv(series),
        name: () => [this._choices.name, file],
      }),
    );
    return { lines };
  }

  _chartCsv(series) {
    const { overview } = this._requested.value;
    const names = series.flatMap(([, name]) => [name, `${name}_sd`, `${name}_n`]);
    const columns = names.filter((name) => overview.trends.some((row) => row && name in row));
    const rows = overview.trends
      .filter(Boolean)
      .map((row) => [this._choices.run, row.interval, ...columns.map((name) => row[name])]);
    return toCsv(["run", "interval", ...columns], rows);
  }

  _csvButtons(table) {
    return saveButtons({
      csv: () => getBlob("prototypes/csv", { run: this._choices.run, table }),
      name: () => [this._choices.name, table],
    });
  }

  _outlierButtons() {
    return saveButtons({
      csv: () => this._chartCsv([...OUTLIERS, ["", "num_not_converged"]]),
      name: () => [this._choices.name, "outliers"],
    });
  }

  _draw() {
    const shown = this._requested.value;
    if (!shown) return;
    const { study, overview } = shown;
    const [answer, ...more] = answerOf(overview);
    const count = countText(overview);
    const isOne = count === "1";
    const caution = isOne
      ? "One initialisation of one network: how far this would repeat is not known."
      : "All initialisations probe one network: they say how repeatable the images are, not how another training would end.";
    replace(
      this._answer,
      html("p", { class: "finding", text: [answer, ...more].join(" ") }),
      html("p", { class: "explanation", text: caution }),
    );
    CHARTS.forEach((chart, at) => this._drawChart(chart, this._charts[at].lines, { study, overview, count }));
    replace(this._table, this._outlierTable(shown));
  }

  _drawChart({ title, yTitle, series }, lines, { study, overview, count }) {
    const isOne = count === "1";
    const hasAccuracy = series.some(([, column]) => column === "test_accuracy");
    const bands = isOne ? "1 initialisation: no bands" : `bands: mean ± 1 sd over ${count} initialisations`;
    const content = series.map(([name, column]) => {
      const values = trendColumn(overview, column);
      const sds = trendColumn(overview, `${column}_sd`);
      const hasBand = sds.some(Number.isFinite);
      return {
        name: column === "test_accuracy" ? accuracyName(study) : name,
        values,
        low: hasBand ? values.map((value, at) => value - sds[at]) : null,
        high: hasBand ? values.map((value, at) => value + sds[at]) : null,
      };
    });
    const largest = largestOf(...content.flatMap(({ values, high }) => [values, high ?? []]));
    lines.update({
      title,
      yTitle,
      xTitle: X_TITLE,
      note: hasAccuracy ? `${bands}; ${accuracyName(study)}: of the one network` : bands,
      x: overview.intervals,
      series: content,
      yDomain: [0, hasAccuracy ? 1 : largest || 1],
      selected: this._choices.interval < 0 ? null : this._choices.interval,
      format: (value) => fixed(value, 3),
    });
  }

  _outlierTable({ study, overview }) {
    const table = html("table", { class: "data" });
    const size = study.class_names.length;
    const made = overview.trends.find(Boolean)?.num_prototypes ?? size * size;
    table.append(
      html(
        "tr",
        {},
        html("th", { scope: "col", text: "training" }),
        ...OUTLIERS.map(([name]) => html("th", { scope: "col", text: name })),
        html("th", { scope: "col", text: `not converged, of ${made}` }),
        html("th", { scope: "col", text: "initialisations" }),
      ),
    );
    overview.intervals.forEach((interval, at) => {
      const row = overview.trends[at];
      const isChosen = at === this._choices.interval;
      const cells = OUTLIERS.map(([, name]) => meanAndSd(row, name, 100, 2, " %"));
      cells.push(meanAndSd(row, "num_not_converged", 1, 1, ""));
      cells.push(row ? String(row.n_initialisations ?? "–") : "not finished");
      table.append(
        html(
          "tr",
          { class: isChosen ? "chosen" : null, "aria-current": isChosen ? "true" : null },
          html("th", { scope: "row", text: `${interval} %` }),
          ...cells.map((text) => html("td", { text })),
        ),
      );
    });
    return table;
  }
}

function meanAndSd(row, name, factor, digits, unit) {
  const value = row?.[name];
  if (value === null || value === undefined) return "–";
  const sd = row[`${name}_sd`];
  const spread = sd === null || sd === undefined ? "" : ` ± ${fixed(factor * sd, digits)}`;
  return `${fixed(factor * value, digits)}${spread}${unit}`;
}
