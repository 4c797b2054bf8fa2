/** What the prototype view knows without asking: choices, names, sentences, tables. */

import { shortName } from "./class_names.js";
import { fixed, percent, signed } from "./numbers.js";

/** Columns of a cell of `prototypes/cells`. */
const CELL_COLUMNS = 4;
// Of the shared colours: this many standard deviations above the mean.
const SDS_OF_SCALE = 3;
// Changes of a mean dissimilarity below this are not called one.
const SMALLEST_CHANGE = 0.005;

/**
 * What is shown.
 * @typedef {Object} Choices
 * @property {string} run
 * @property {string} stamp
 * @property {string} name What files are called after.
 * @property {Array<{run: string, text: string, title: string}>} ways The studies of the same
 *   network, this one among them, by how their images were made.
 * @property {Object} study
 * @property {Array<Array<boolean>>} finished By interval and initialisation.
 * @property {number} interval Number of the interval, -1 while nothing is finished.
 * @property {number} init
 * @property {boolean} isFollowing Whether the newest interval is followed.
 * @property {string} note Why it is not what the address asks for, or "".
 * @property {number} target Of the chosen cell.
 * @property {number} origin
 * @property {boolean} isCellChosen Whether somebody chose it.
 * @property {boolean} isEnlarged
 * @property {{matrix: string, row: number, column: number}|null} pair
 * @property {boolean} isShared Whether C and R share a scale of colours.
 * @property {boolean} isOfChanges Whether the grid shows changes instead of images.
 */

/**
 * What an entry of `studies` and the address say together.
 * @return {Choices}
 */
export function choicesOf(entry, state, studies) {
  const { study } = entry;
  const finished = study.intervals.map((_, interval) => entry.progress.finished[interval] ?? []);
  const size = study.class_names.length;
  const target = labelOf(state.target, size);
  const origin = labelOf(state.origin, size);
  return {
    run: entry.run,
    stamp: entry.stamp,
    name: entry.name === "." ? "study" : entry.name,
    ways: waysOf(entry, studies),
    study,
    finished,
    ...partOf(finished, state),
    target: target ?? 0,
    origin: origin ?? 0,
    isCellChosen: target !== null && origin !== null,
    isEnlarged: state.enlarged === "1" && target !== null && origin !== null,
    pair: pairOf(state.pair, size),
    isShared: state.scale !== "own",
    isOfChanges: state.grid === "changes",
  };
}

// As `--parametrization` of the command names them.
const PARAMETRIZATIONS = new Map([
  ["pixels", "pixels, changed until the network is sure: noise to a person"],
  ["fourier", "spectra in the colours of the training images: vivid objects"],
  ["maco", "phases of the training images' mean spectrum: natural colours"],
]);

/** How the images of a study were made; those of earlier versions do not say it. */
export function parametrizationOf(study) {
  const name = study.settings.parametrization ?? "pixels";
  // A later version may have more of them; event files may hold anything.
  return /^\w{1,20}$/.test(name) ? String(name) : "unknown means";
}

/** The studies of the network that an entry of `studies` shows, by parametrisation. */
function waysOf(entry, studies) {
  const isOfSame = (one) =>
    one.kind === entry.kind &&
    !one.error &&
    ["network", "class_names", "intervals"].every(
      (key) => JSON.stringify(one.study[key]) === JSON.stringify(entry.study[key]),
    );
  const found = entry.study.network ? studies.filter(isOfSame) : [entry];
  const names = found.map((one) => parametrizationOf(one.study));
  const order = [...PARAMETRIZATIONS.keys()];
  const placeOf = (way) => (order.includes(way.name) ? order.indexOf(way.name) : order.length);
  return found
    .map((one, at) => {
      const name = names[at];
      const isOnly = names.filter((other) => other === name).length === 1;
      return { run: one.run, name, text: isOnly ? name : `${name} (${one.name})`, title: PARAMETRIZATIONS.get(name) ?? name };
    })
    .sort((one, other) => placeOf(one) - placeOf(other));
}

function labelOf(text, size) {
  return /^\d{1,6}$/.test(text) && Number(text) < size ? Number(text) : null;
}

function pairOf(text, size) {
  const found = /^([cr])\.(\d+)\.(\d+)$/.exec(text);
  if (!found) return null;
  const [row, column] = [labelOf(found[2], size), labelOf(found[3], size)];
  if (row === null || column === null || row === column) return null;
  return { matrix: found[1], row, column };
}

/** The interval and initialisation to show: as asked for, or the nearest that is there. */
function partOf(finished, state) {
  const known = finished.map((inits, interval) => (inits.some(Boolean) ? interval : -1)).filter((at) => at >= 0);
  const asked = labelOf(state.interval, finished.length);
  const isFollowing = asked === null;
  if (known.length === 0) return { interval: -1, init: 0, isFollowing, note: "" };
  const wanted = labelOf(state.init, Math.max(...finished.map((inits) => inits.length))) ?? 0;
  const withInit = known.filter((interval) => finished[interval][wanted]);
  let interval;
  if (isFollowing) interval = (withInit.length ? withInit : known).at(-1);
  else interval = known.reduce((best, at) => (Math.abs(at - asked) < Math.abs(best - asked) ? at : best));
  const init = finished[interval][wanted] ? wanted : finished[interval].indexOf(true);
  const notes = [];
  if (!isFollowing && interval !== asked) notes.push("That interval is not finished: the nearest that is.");
  if (init !== wanted) notes.push(`Initialisation ${wanted} is not finished here: shown is ${init}.`);
  return { interval, init, isFollowing, note: notes.join(" ") };
}

/** The next finished interval before (-1) or after (1) one, or null. */
export function neighbour(finished, interval, step) {
  for (let at = interval + step; at >= 0 && at < finished.length; at += step) {
    if (finished[at].some(Boolean)) return at;
  }
  return null;
}

/** The interval nearest to a percentage. */
export function nearestInterval(intervals, percentage) {
  const distances = intervals.map((value) => Math.abs(value - percentage));
  return distances.indexOf(Math.min(...distances));
}

/** What a prototype is called. */
export function prototypeName(study, target, origin) {
  if (target === origin) return `class prototype of ${shortName(study, target)}`;
  return `${shortName(study, target)} from ${shortName(study, origin)}`;
}

/** Where an image began and what it became, as a caption. */
export function wayName(study, target, origin) {
  return `${target === origin ? "noise" : shortName(study, origin)} → ${shortName(study, target)}`;
}

/** Which part of the study: "made by fourier; 100 % of the training, initialisation 0". */
export function partName(study, interval, init) {
  return `made by ${parametrizationOf(study)}; ${study.intervals[interval]} % of the training, initialisation ${init}`;
}

/** What `prototypes/cells` says of an image. */
export function cellOf(cells, size, target, origin) {
  const at = CELL_COLUMNS * (target * size + origin);
  const [loss, iterations, converged, predicted] = cells.subarray(at, at + CELL_COLUMNS);
  // Of a study of class prototypes only, most are not.
  const isMade = Number.isFinite(loss) || predicted >= 0;
  return { loss, iterations, isConverged: converged === 1, predicted, isMade };
}

/** How many images were made, and how many of them did not converge. */
export function countImages(cells, size) {
  let made = 0;
  let unconverged = 0;
  for (let target = 0; target < size; target += 1)
    for (let origin = 0; origin < size; origin += 1) {
      const { isMade, isConverged } = cellOf(cells, size, target, origin);
      made += isMade;
      unconverged += isMade && !isConverged;
    }
  return { made, unconverged };
}

/** Facts of an image, as rows of a name and a value. */
export function factsOfImage(study, cell) {
  if (!cell.isMade) return [["image", "none was made"]];
  const taken = cell.predicted >= 0 ? shortName(study, cell.predicted) : "unknown";
  return [
    ["made by", parametrizationOf(study)],
    ["loss", Number.isFinite(cell.loss) ? `${fixed(cell.loss, 4)} nats` : "–"],
    // The loss is the cross-entropy toward the target.
    ["probability", percent(Math.exp(-cell.loss))],
    ["iterations", fixed(cell.iterations, 0)],
    ["converged", cell.isConverged ? "yes" : "no: left out of C and R"],
    ["taken for", taken],
  ];
}

/** The two prototypes that a cell of a slice compares, as [target, origin]. */
export function prototypesOf(matrix, index, row, column) {
  return matrix === "c"
    ? [[row, index], [column, index]]
    : [[index, row], [index, column]];
}

/** A slice without the comparisons of an image with itself. */
export function withoutSelf(values, size) {
  const result = Float32Array.from(values);
  for (let at = 0; at < size; at += 1) result[at * (size + 1)] = NaN;
  return result;
}

/** The largest number of some arrays; 0 where there is none. */
export function largestOf(...arrays) {
  let largest = 0;
  for (const values of arrays) for (const value of values) if (value > largest) largest = value;
  return largest;
}

/**
 * Where the shared scale ends: it holds for C and R and all intervals, so that their
 * colours can be compared. Null where the trends do not say.
 */
export function sharedLimit(overview) {
  const ends = ["c", "r"].flatMap((name) => {
    const sds = trendColumn(overview, `sd_${name}`);
    return trendColumn(overview, `mean_${name}`).map((mean, at) => mean + SDS_OF_SCALE * sds[at]);
  });
  const largest = largestOf(ends);
  // Features that are never negative have dissimilarities of at most 1.
  const most = Math.max(1, largestOf(trendColumn(overview, "mean_c"), trendColumn(overview, "mean_r")));
  return largest > 0 ? Math.min(most, Math.ceil(20 * largest) / 20) : null;
}

/** A column of the trends: a number per interval, NaN where there is none. */
export function trendColumn(overview, name) {
  return overview.trends.map((row) => row?.[name] ?? NaN);
}

/** The poster's question, and what this study says, as sentences. */
export function answerOf(overview) {
  const means = { C: "mean_c", R: "mean_r" };
  const there = overview.trends
    .map((row, at) => (Object.values(means).every((name) => row?.[name] != null) ? at : -1))
    .filter((at) => at >= 0);
  if (there.length === 0) {
    if (!overview.trends.some(Boolean)) return ["No interval is finished yet."];
    return ["C and R are not known: they compare the features of intermediary prototypes that converged."];
  }
  const [first, last] = [there[0], there.at(-1)];
  const value = (name, at) => overview.trends[at][name];
  const end = `At ${overview.intervals[last]} %, R is ${fixed((100 * value("mean_r", last)) / value("mean_c", last), 0)} % of C.`;
  if (first === last) {
    const now = Object.entries(means).map(([matrix, name]) => `${matrix} is ${fixed(value(name, last), 3)}`);
    return [`With one interval only: ${now.join(", ")}.`, end];
  }
  const told = Object.entries(means).map(([matrix, name]) => {
    const changes = changesOf(overview, name, first, last);
    const change = value(name, last) - value(name, first);
    const word = Math.abs(change) < SMALLEST_CHANGE ? "stays" : change > 0 ? "grows" : "falls";
    const numbers = `from ${fixed(value(name, first), 3)} to ${fixed(value(name, last), 3)} (${signed(change, 3)})`;
    const rising = changes.filter((one) => one > 0).length;
    const many = changes.length > 1 ? `, it rises in ${rising} of ${changes.length} initialisations` : "";
    return `mean ${matrix} ${word} ${numbers}${many}`;
  });
  const span = `From ${overview.intervals[first]} % to ${overview.intervals[last]} % of the training, `;
  return [`${span}${told.join("; ")}.`, end];
}

/** What the accuracy of a study is measured on. */
export function accuracyName(study) {
  const kind = study.settings.accuracy_of;
  return `${["validation", "training"].includes(kind) ? kind : "test"} accuracy`;
}

/** Changes of a measure within the initialisations that have both intervals. */
function changesOf(overview, name, first, last) {
  const before = overview.measures[first]?.[name] ?? [];
  const after = overview.measures[last]?.[name] ?? [];
  return before.map((value, init) => (after[init] ?? NaN) - (value ?? NaN)).filter(Number.isFinite);
}

/** How many initialisations the trends have: "5", or "3 to 5" where it differs. */
export function countText(overview) {
  const counts = trendColumn(overview, "n_initialisations").filter((count) => count > 0);
  if (counts.length === 0) return "0";
  const [low, high] = [Math.min(...counts), Math.max(...counts)];
  return low === high ? String(low) : `${low} to ${high}`;
}

/** A slice in long form: header and rows. */
export function sliceTable(choices, { matrix, index, interval, init, values }) {
  const { class_names: names, intervals } = choices.study;
  const compared = matrix === "c" ? "target" : "origin";
  const fixedAxis = matrix === "c" ? "origin" : "target";
  const header = ["run", "interval", "initialisation", "matrix", fixedAxis, compared, `other_${compared}`, "dissimilarity"];
  const rows = [];
  names.forEach((name, row) => {
    names.forEach((other, column) => {
      if (row === column) return;
      const value = values[row * names.length + column];
      rows.push([choices.run, intervals[interval], init, matrix.toUpperCase(), names[index], name, other, value]);
    });
  });
  return { header, rows };
}
