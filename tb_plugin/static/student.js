/** Confidence intervals of means. */

// Of 95 %, two-sided, for 1 to 4 degrees of freedom, where the expansion is too coarse.
const FEW = [12.70620473617471, 4.302652729749464, 3.182446305283708, 2.776445105197793];
const Z = 1.959963984540054;

/**
 * The 97.5 % quantile of Student's t: Abramowitz and Stegun 26.7.5, four terms; within
 * 0.0003 from five degrees of freedom on.
 */
export function studentQuantile(df) {
  if (!(df >= 1)) return NaN;
  if (df < 5) return FEW[Math.floor(df) - 1];
  const z = Z;
  const terms = [
    (z ** 3 + z) / 4,
    (5 * z ** 5 + 16 * z ** 3 + 3 * z) / 96,
    (3 * z ** 7 + 19 * z ** 5 + 17 * z ** 3 - 15 * z) / 384,
    (79 * z ** 9 + 776 * z ** 7 + 1482 * z ** 5 - 1920 * z ** 3 - 945 * z) / 92160,
  ];
  return terms.reduce((sum, term, index) => sum + term / df ** (index + 1), z);
}

/**
 * Mean and half the width of its 95 % confidence interval.
 * @param {Array<number>} values
 * @return {{mean: number, margin: number}|null} `margin` is NaN of a single value.
 */
export function meanInterval(values) {
  const n = values.length;
  if (n === 0) return null;
  const mean = values.reduce((sum, value) => sum + value, 0) / n;
  const squares = values.reduce((sum, value) => sum + (value - mean) ** 2, 0);
  const margin = n > 1 ? studentQuantile(n - 1) * Math.sqrt(squares / (n - 1) / n) : NaN;
  return { mean, margin };
}
