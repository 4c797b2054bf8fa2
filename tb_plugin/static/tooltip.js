/** One tooltip for the page: beside what it explains, never over it, Escape hides it. */

import { html, replace } from "./dom.js";
import { onKey } from "./host.js";

const GAP = 10;
const node = html("div", { class: "tooltip", role: "tooltip", hidden: true });
document.body.append(node);
onKey((event) => {
  if (event.key === "Escape") hideTooltip();
});
// In whatever box: what is explained moves away from the tooltip.
addEventListener("scroll", () => hideTooltip(), { passive: true, capture: true });
let turn = 0;

/**
 * A number that is another one once the tooltip was hidden. Who waits for an answer
 * compares it: a tooltip that was hidden meanwhile must not come back at its old place.
 */
export function tooltipTurn() {
  return turn;
}

/**
 * Shows the tooltip.
 * @param {DOMRect} rect What it explains, in the page's view.
 * @param {...(Node|string)} content
 */
export function showTooltip(rect, ...content) {
  // An open dialog lies above everything that is outside of it.
  const owner = [...document.querySelectorAll("dialog[open]")].pop() ?? document.body;
  if (node.parentNode !== owner) owner.append(node);
  replace(node, ...content);
  node.hidden = false;
  const { width, height } = node.getBoundingClientRect();
  const fitsRight = rect.right + GAP + width <= innerWidth;
  const fitsLeft = rect.left - GAP - width >= 0;
  let left;
  let top;
  if (fitsRight || fitsLeft) {
    left = fitsRight ? rect.right + GAP : rect.left - GAP - width;
    top = Math.min(Math.max(4, rect.top - 8), innerHeight - height - 4);
  } else {
    left = Math.min(Math.max(4, rect.left), innerWidth - width - 4);
    top = rect.bottom + GAP + height <= innerHeight ? rect.bottom + GAP : rect.top - GAP - height;
  }
  node.style.left = `${Math.max(4, left)}px`;
  node.style.top = `${Math.max(4, top)}px`;
}

/** Hides the tooltip. */
export function hideTooltip() {
  turn += 1;
  node.hidden = true;
}

/**
 * The usual content: a heading and rows of a name and a value.
 * @param {string} title
 * @param {Array<[string, string]>} rows
 * @param {string} [note]
 */
export function factsOf(title, rows, note = "") {
  const list = html("dl", { class: "facts" });
  for (const [name, value] of rows) {
    list.append(html("dt", { text: name }), html("dd", { text: value }));
  }
  const parts = [html("strong", { text: title }), list];
  if (note) parts.push(html("p", { class: "muted", text: note }));
  return parts;
}
