/** Colours of both themes: colour-blind-safe scales, and the palette of figures. */

import "./vendor/d3-7.9.2.min.js";

const d3 = globalThis.d3;

const THEMES = {
  light: {
    background: "#ffffff",
    text: "#1f2328",
    muted: "#656d76",
    rule: "#d0d7de",
    empty: "#f0f1f3",
    aside: "#d9dce0",
    focus: "#0b57d0",
    // Okabe and Ito, without yellow.
    series: ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00"],
  },
  dark: {
    background: "#303030",
    text: "#eceff1",
    muted: "#b0b7bd",
    rule: "#55595e",
    empty: "#3b3d40",
    aside: "#5a5e63",
    focus: "#8ab4f8",
    series: ["#56b4e9", "#f08a4b", "#3fc79b", "#e39bc0", "#9ad0f5", "#f0b93a"],
  },
};

// Through every colour named, so that zero is grey; it recedes into the background.
const DIVERGING = {
  light: d3.piecewise(d3.interpolateLab, [
    "#7f3b08", "#b35806", "#e08214", "#fdb863", "#fee0b6", "#f7f7f7", "#d8daeb", "#b2abd2", "#8073ac", "#542788", "#2d004b",
  ]),
  dark: d3.piecewise(d3.interpolateLab, [
    "#ffdcae", "#fdb863", "#e08214", "#a5570d", "#6b441d", "#3f3f43", "#514a70", "#6a5b9b", "#9285c4", "#bdb4e3", "#e6e1fb",
  ]),
};

/** The palette of the current theme. */
export function palette() {
  return THEMES[theme()];
}

/** "light" or "dark". */
export function theme() {
  return document.documentElement.dataset.theme === "dark" ? "dark" : "light";
}

/**
 * A scale from numbers to colours.
 * @typedef {{colour: function(number): string, ink: function(number): string,
 *   domain: [number, number], clipped: boolean, isSigned: boolean}} Scale
 */

/**
 * For signed measures: symmetric around zero, orange below and purple above.
 * @param {number} largest The largest magnitude; larger values get its colour.
 * @param {{clipped?: boolean}} options `clipped`: there are larger ones.
 * @return {Scale}
 */
export function divergingScale(largest, { clipped = false } = {}) {
  const limit = largest > 0 && Number.isFinite(largest) ? largest : 1;
  const interpolate = DIVERGING[theme()];
  const colour = (value) => interpolate(0.5 + 0.5 * clamp(value / limit, -1, 1));
  return { colour, ink: inkOn(colour), domain: [-limit, limit], clipped, isSigned: true };
}

/**
 * For magnitudes: cividis, dark where low.
 * @param {[number, number]} domain
 * @return {Scale}
 */
export function sequentialScale([low, high], { clipped = false } = {}) {
  const width = high > low ? high - low : 1;
  const colour = (value) => d3.interpolateCividis(clamp((value - low) / width, 0, 1));
  return { colour, ink: inkOn(colour), domain: [low, low + width], clipped, isSigned: false };
}

/**
 * The symmetric limit for signed values: their 98 % quantile in magnitude, so that a
 * single cell does not wash out the others.
 * @param {...ArrayLike<number>} arrays NaN counts as missing.
 * @return {{largest: number, clipped: boolean}}
 */
export function robustLimit(...arrays) {
  const magnitudes = arrays.flatMap((values) => Array.from(values, Math.abs)).filter(Number.isFinite);
  if (magnitudes.length === 0) return { largest: 1, clipped: false };
  magnitudes.sort((a, b) => a - b);
  const most = magnitudes[magnitudes.length - 1];
  const quantile = d3.quantileSorted(magnitudes, 0.98);
  // Of a few cells the quantile would always cut the largest one.
  if (magnitudes.length < 100 || quantile <= 0 || most <= 1.25 * quantile) {
    return { largest: most, clipped: false };
  }
  return { largest: quantile, clipped: true };
}

/** Black or white, whichever has more contrast with a colour (WCAG 2). */
function inkOn(colour) {
  return (value) => {
    const { r, g, b } = d3.rgb(colour(value));
    const [red, green, blue] = [r, g, b].map(linear);
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue > 0.179 ? "#111111" : "#ffffff";
  };
}

function linear(channel) {
  const share = channel / 255;
  return share <= 0.04045 ? share / 12.92 : ((share + 0.055) / 1.055) ** 2.4;
}

function clamp(value, low, high) {
  return Math.min(high, Math.max(low, value));
}
