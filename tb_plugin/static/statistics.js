/** The statistics of a cell as text: a few for the tooltip, all for the table. */

import { toCsv } from "./files.js";
import { testTitles } from "./measures.js";
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

/** For a tooltip, t under a name. @return {Array<[string, string]>} */
export function shortFacts(cell, testTitle) {
  const s = cell.statistics;
  return [
    ["confused", `${meanSd(s.mean_confused, s.sd_confused)}, n = ${s.n_confused ?? 0}`],
    ["comparison", `${meanSd(s.mean_comparison, s.sd_comparison)}, n = ${s.n_comparison ?? 0}`],
    ["difference", points(s.difference_points)],
    [CI, interval(s.ci_low_points, s.ci_high_points, 2)],
    [testTitle, `${signed(s.t, 2)}, df ${degrees(s.df)}`],
    ["p, q", `${probability(s.p_value)}, ${probability(s.q_value)}`],
    ["Hedges' g", signed(s.hedges_g, 2)],
    [CI, interval(s.hedges_g_ci_low, s.hedges_g_ci_high, 2)],
    ["KL (noise floor)", `${bitsOf(s.kl_bits)} (${fixed(s.kl_noise_floor_bits, 5)}) bits`],
    ["fall in entropy", `${bitsOf(s.entropy_bits)} bits`],
    ["mutual information", `${bitsOf(s.mutual_information_bits)} bits`],
    ["log-likelihood", `${bitsOf(s.log_likelihood_bits)} bits`],
  ];
}

// Rows of the table: a name, and how it is written.
const GROUPS = [
  ["Networks that confuse", (s) => `${s.n_confused ?? 0}`],
  ["their mean ± sd", (s) => meanSd(s.mean_confused, s.sd_confused)],
  ["Networks compared with", (s) => `${s.n_comparison ?? 0}`],
  ["their mean ± sd", (s) => meanSd(s.mean_comparison, s.sd_comparison)],
  ["Hedges' g", (s) => signed(s.hedges_g, 3)],
  [CI, (s) => interval(s.hedges_g_ci_low, s.hedges_g_ci_high, 2)],
];
const BITS = [
  ["Kullback–Leibler", (s) => bitsOf(s.kl_bits)],
  ["its noise floor", (s) => fixed(s.kl_noise_floor_bits, 5)],
  ["Fall in entropy", (s) => bitsOf(s.entropy_bits)],
  ["Mutual information", (s) => bitsOf(s.mutual_information_bits)],
  ["Log-likelihood", (s) => bitsOf(s.log_likelihood_bits)],
];

// Of every test: a heading, its t, and what it alone has.
const TESTS = {
  moderated: {
    heading: "Moderated: variances that the cells of a target share",
    t: "moderated t",
    own: [["n", (s) => `${s.moderated_n ?? 0}`]],
  },
  paired: {
    heading: "Paired within repeats, which share their seeds",
    t: "paired t",
    own: [
      ["Repeats", (s) => `${s.paired_n ?? 0}`],
      ["their correlation", (s) => fixed(s.paired_correlation, 2)],
    ],
  },
  welch: { heading: "Welch's: all networks taken for independent", t: "Welch's t", own: [] },
};

/** What a test says, with the names of the study's own. Files of earlier versions lack Welch's. */
function byTest({ statistics: s, test: main }, test) {
  const prefix = test === main ? "" : `${test}_`;
  const [low, high] = [s[`${prefix}ci_low_points`], s[`${prefix}ci_high_points`]];
  // The paired test's are one less than its repeats.
  const pairedDf = s.paired_t === null ? null : s.paired_n - 1;
  return {
    difference: points(s[`${prefix}difference_points`]),
    interval: interval(low, high, 2),
    t: signed(s[`${prefix}t`], 3),
    df: degrees(test === "paired" ? pairedDf : s[`${prefix}df`]),
    p: probability(s[`${prefix}p_value`]),
    q: probability(s[`${prefix}q_value`]),
  };
}

function testRows(cells, testOf, t) {
  const told = cells.map((cell) => byTest(cell, testOf(cell)));
  const names = [
    ["Difference", "difference"],
    [CI, "interval"],
    [t, "t"],
    ["degrees of freedom", "df"],
    ["p", "p"],
    ["q (Benjamini–Hochberg)", "q"],
  ];
  return names.map(([name, key]) => ({ name, values: told.map((one) => one[key]) }));
}

/**
 * Everything, for tables: by the study's test first, then by the others.
 * @param {Array<Object>} cells Answers of `confusion/cell`.
 * @return {Array<{title: string, rows: Array<{name: string, values: Array<string>}>}>}
 */
export function allFacts(cells) {
  const written = (rows) => rows.map(([name, write]) => ({ name, values: cells.map(({ statistics }) => write(statistics)) }));
  const tests = [...new Set(cells.map((cell) => cell.test))];
  const title = testTitles(cells.map((cell) => cell.test_title));
  const own = tests.length === 1 ? TESTS[tests[0]].own : [];
  const others = Object.keys(TESTS).filter((test) => tests.length > 1 || test !== tests[0]);
  return [
    { title: "Groups", rows: written(GROUPS) },
    {
      title: `Confused − comparison, by ${title}`,
      rows: [...written(own), ...testRows(cells, (cell) => cell.test, title)],
    },
    { title: "Information gained by not confusing, bits", rows: written(BITS) },
    ...others.map((test) => ({
      title: TESTS[test].heading,
      rows: [...written(TESTS[test].own), ...testRows(cells, () => test, TESTS[test].t)],
    })),
  ];
}

/** Every statistic as CSV, one line a number. */
export function statisticsCsv(cells) {
  const place = ["run", "table", "response", "row", "row_name", "target", "target_name", "test"];
  const lines = cells.flatMap((cell) => {
    const values = place.map((name) => cell[name]);
    return Object.entries(cell.statistics).map(([name, value]) => [...values, name, value]);
  });
  return toCsv([...place, "statistic", "value"], lines);
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
