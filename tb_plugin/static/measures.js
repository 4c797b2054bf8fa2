/** The measures of a comparison: what they are called, and how they are written. */

import { divergingScale, robustLimit, sequentialScale } from "./colours.js";
import { fixed, signed } from "./numbers.js";

const BITS_NOTE = "positive where not confusing gains information";

function bits(text) {
  return { text: `${text}, bits`, name: text, unit: "bits", isBits: true, direction: BITS_NOTE };
}

/**
 * Columns of a comparison that a heat map can show, in the order of the choice.
 * `name` goes into legends, `direction` says what the sign means.
 */
export const MEASURES = {
  difference_points: { text: "Difference, points", name: "difference", unit: "points" },
  t: { text: "t", name: "t", unit: "", isOfTest: true },
  minus_log10_q: { text: "−log₁₀ q", name: "−log₁₀ q", unit: "", isMagnitude: true },
  hedges_g: { text: "Hedges' g", name: "Hedges' g", unit: "" },
  kl_bits: bits("Kullback–Leibler"),
  entropy_bits: bits("Fall in entropy"),
  mutual_information_bits: bits("Mutual information"),
  log_likelihood_bits: bits("Log-likelihood"),
};
const CONFUSED_MINUS_COMPARISON = "confused − comparison";

/** The measure that the address asks for, or the first. */
export function knownMeasure(name) {
  return Object.hasOwn(MEASURES, name) ? name : "difference_points";
}

/** What is called by the test of every study: "moderated t", or "moderated t and Welch's t". */
export function testTitles(titles) {
  return [...new Set(titles)].join(" and ");
}

/** A measure's name; t is called by the test. */
export function measureName(name, testTitle) {
  return MEASURES[name].isOfTest ? testTitle : MEASURES[name].name;
}

/** The measures, for a choice between them. */
export function measureOptions(testTitle) {
  return Object.entries(MEASURES).map(([value, { text, isOfTest }]) => ({ value, text: isOfTest ? testTitle : text }));
}

/** What is shown and what its sign means, without the response. */
export function measureLine(name, responseText, testTitle) {
  const { unit, isBits, direction, isMagnitude } = MEASURES[name];
  const text = measureName(name, testTitle);
  if (name === "difference_points") return `Δ ${responseText} in points, ${CONFUSED_MINUS_COMPARISON}`;
  if (isMagnitude) return `${text} of ${responseText} by ${testTitle}, either direction`;
  if (isBits) return `${text} in ${unit} (${responseText}), ${direction}`;
  return `${text} of ${responseText}, ${CONFUSED_MINUS_COMPARISON}`;
}

/**
 * How a measure's numbers are written where the largest is so large. Bits are small:
 * where they are, thousandths of them are written.
 * @return {{unit: string, format: function(number): string}}
 */
export function writing(name, largest, { isDifference = false } = {}) {
  const { unit, isBits, isMagnitude } = MEASURES[name];
  const isSmall = isBits && largest < 0.1;
  const factor = isSmall ? 1000 : 1;
  const top = largest * factor;
  const digits = top >= 100 ? 0 : top >= 1.5 && !(isBits && !isSmall) ? 1 : 2;
  const write = isMagnitude && !isDifference ? fixed : signed;
  return {
    unit: isBits ? (isSmall ? "millibits" : "bits") : unit,
    format: (value) => write(value * factor, digits),
  };
}

/** A measure in full, for tooltips and tables. */
export function inFull(name, value) {
  const { unit, isBits, isMagnitude } = MEASURES[name];
  if (isBits) return `${signed(value, 5)} ${unit}`;
  if (isMagnitude) return fixed(value, 2);
  return `${signed(value, 2)}${unit && ` ${unit}`}`;
}

/**
 * One scale for everything that is shown together.
 * @param {string} name Of the measure.
 * @param {Array<{values: ArrayLike<number>, isAside: function(number): boolean}>} maps
 *   `isAside` says of an index whether the value must not stretch the scale.
 * @param {{isDifference?: boolean}} options
 * @return {{scale: Scale, largest: number}}
 */
export function commonScale(name, maps, { isDifference = false } = {}) {
  const inside = maps.map(({ values, isAside }) => Array.from(values).filter((_, index) => !isAside(index)));
  const hasInside = inside.some((values) => values.some(Number.isFinite));
  const { largest, clipped } = robustLimit(...(hasInside ? inside : maps.map(({ values }) => values)));
  if (MEASURES[name].isMagnitude && !isDifference) {
    return { scale: sequentialScale([0, largest], { clipped }), largest };
  }
  return { scale: divergingScale(largest, { clipped }), largest };
}
