/** How numbers are written. */

/** Digits after the point, with a true minus sign; "–" where there is no number. */
export function fixed(value, digits) {
  if (value === null || !Number.isFinite(value)) return "–";
  const text = value.toFixed(digits);
  return (Number(text) === 0 ? (0).toFixed(digits) : text).replace("-", "−");
}

/** As `fixed`, with a plus sign before what is above zero. */
export function signed(value, digits) {
  const text = fixed(value, digits);
  return Number.isFinite(value) && Number(value.toFixed(digits)) > 0 ? `+${text}` : text;
}

/** A share as percent. */
export function percent(share, digits = 1) {
  return share === null || !Number.isFinite(share) ? "–" : `${fixed(100 * share, digits)} %`;
}

/** A p- or q-value. */
export function probability(value) {
  if (value === null || !Number.isFinite(value)) return "–";
  if (value >= 0.001) return value.toFixed(value < 0.1 ? 4 : 2);
  if (value < 1e-300) return "< 1e-300";
  return value.toExponential(1).replace("-", "−");
}

/** Seconds as a reader says them. */
export function duration(seconds) {
  if (seconds === null || !Number.isFinite(seconds)) return "–";
  if (seconds < 90) return `${Math.max(0, Math.round(seconds))} s`;
  const minutes = Math.round(seconds / 60);
  if (minutes < 90) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  return hours < 48 ? `${hours} h ${minutes % 60} min` : `${Math.round(hours / 24)} days`;
}
