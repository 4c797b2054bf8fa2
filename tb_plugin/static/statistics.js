/** The statistics of a cell as text: a few for the tooltip, all for the table. */

import { toCsv } from "./files.js";
import { fixed, percent, probability, signed } from "./numbers.js";

// An interval is of one cell alone, while q is adjusted over all of them.
const CI = "95 % CI, not adjusted";

/** A mean and its standard deviation, shares, in percent. */
export function meanSd(mean, sd) {
  return sd === null ? percent(mean) : `${fixed(100 * mean, 1)} ± ${fixed(100 * sd, 1)} %`;
}

function interval(low, high, digits) {
  return low === null || high === null ? "–" : `[${signed(low, digits)}, ${signed(high, digits)}]`;
}

function points(value) {
  return value === null ? "–" : `${signed(value, 2)} points`;
}

function degrees(df) {
  return fixed(df, df !== null && df < 100 ? 1 : 0);
}

function bitsOf(value) {
  return `${signed(value, 5)}`;
}

/** For a tooltip. @return {Array<[string, string]>} */
export function shortFacts(cell) {
  const s = cell.statistics;
  return [
    ["confused", `${meanSd(s.mean_confused, s.sd_confused)}, n = ${s.n_confused ?? 0}`],
    ["comparison", `${meanSd(s.mean_comparison, s.sd_comparison)}, n = ${s.n_comparison ?? 0}`],
    ["difference", points(s.difference_points)],
    [CI, interval(s.ci_low_points, s.ci_high_points, 2)],
    ["Welch's t", `${signed(s.t, 2)}, df ${degrees(s.df)}`],
    ["p, q", `${probability(s.p_value)}, ${probability(s.q_value)}`],
    ["Hedges' g", signed(s.hedges_g, 2)],
    [CI, interval(s.hedges_g_ci_low, s.hedges_g_ci_high, 2)],
    ["KL (noise floor)", `${bitsOf(s.kl_bits)} (${fixed(s.kl_noise_floor_bits, 5)}) bits`],
    ["fall in entropy", `${bitsOf(s.entropy_bits)} bits`],
    ["mutual information", `${bitsOf(s.mutual_information_bits)} bits`],
    ["log-likelihood", `${bitsOf(s.log_likelihood_bits)} bits`],
  ];
}

// Sections of the table: a heading, and rows of a name and how it is written.
const SECTIONS = [
  [
    "Groups",
    [
      ["Networks that confuse", (s) => `${s.n_confused ?? 0}`],
      ["their mean ± sd", (s) => meanSd(s.mean_confused, s.sd_confused)],
      ["Networks compared with", (s) => `${s.n_comparison ?? 0}`],
      ["their mean ± sd", (s) => meanSd(s.mean_comparison, s.sd_comparison)],
    ],
  ],
  [
    "Confused − comparison",
    [
      ["Difference", (s) => points(s.difference_points)],
      [CI, (s) => interval(s.ci_low_points, s.ci_high_points, 2)],
      ["Welch's t", (s) => signed(s.t, 3)],
      ["degrees of freedom", (s) => degrees(s.df)],
      ["p", (s) => probability(s.p_value)],
      ["q (Benjamini–Hochberg)", (s) => probability(s.q_value)],
      ["Hedges' g", (s) => signed(s.hedges_g, 3)],
      [CI, (s) => interval(s.hedges_g_ci_low, s.hedges_g_ci_high, 2)],
    ],
  ],
  [
    "Information gained by not confusing, bits",
    [
      ["Kullback–Leibler", (s) => bitsOf(s.kl_bits)],
      ["its noise floor", (s) => fixed(s.kl_noise_floor_bits, 5)],
      ["Fall in entropy", (s) => bitsOf(s.entropy_bits)],
      ["Mutual information", (s) => bitsOf(s.mutual_information_bits)],
      ["Log-likelihood", (s) => bitsOf(s.log_likelihood_bits)],
    ],
  ],
  [
    "Paired within repeats, which share their seeds",
    [
      ["Repeats", (s) => `${s.paired_n ?? 0}`],
      ["Difference", (s) => points(s.paired_difference_points)],
      [CI, (s) => interval(s.paired_ci_low_points, s.paired_ci_high_points, 2)],
      ["paired t", (s) => signed(s.paired_t, 3)],
      ["p", (s) => probability(s.paired_p_value)],
      ["q (Benjamini–Hochberg)", (s) => probability(s.paired_q_value)],
      ["correlation", (s) => fixed(s.paired_correlation, 2)],
    ],
  ],
  [
    "Moderated: variances that the cells of a target share",
    [
      ["n", (s) => `${s.moderated_n ?? 0}`],
      ["Difference", (s) => points(s.moderated_difference_points)],
      [CI, (s) => interval(s.moderated_ci_low_points, s.moderated_ci_high_points, 2)],
      ["t", (s) => signed(s.moderated_t, 3)],
      ["degrees of freedom", (s) => degrees(s.moderated_df)],
      ["p", (s) => probability(s.moderated_p_value)],
      ["q (Benjamini–Hochberg)", (s) => probability(s.moderated_q_value)],
    ],
  ],
];

/**
 * Everything, for tables.
 * @param {Array<Object>} cells Answers of `confusion/cell`.
 * @return {Array<{title: string, rows: Array<{name: string, values: Array<string>}>}>}
 */
export function allFacts(cells) {
  return SECTIONS.map(([title, rows]) => ({
    title,
    rows: rows.map(([name, write]) => ({ name, values: cells.map((cell) => write(cell.statistics)) })),
  }));
}

/** Every statistic as CSV, one line a number. */
export function statisticsCsv(cells) {
  const header = ["run", "table", "response", "row", "row_name", "target", "target_name", "statistic", "value"];
  const lines = cells.flatMap((cell) => {
    const place = [cell.run, cell.table, cell.response, cell.row, cell.row_name, cell.target, cell.target_name];
    return Object.entries(cell.statistics).map(([name, value]) => [...place, name, value]);
  });
  return toCsv(header, lines);
}

/** The single networks as CSV. */
export function networksCsv(cells) {
  const header = ["run", "response", "target_name", "row_name", "group", "pair", "repeat", "value"];
  const lines = cells.flatMap((cell) =>
    cell.groups.flatMap((group) =>
      group.networks.map((one) => [
        ...[cell.run, cell.response, cell.target_name, cell.row_name],
        ...[group.name, one.pair, one.repeat, one.value],
      ]),
    ),
  );
  return toCsv(header, lines);
}
