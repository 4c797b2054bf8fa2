/** What classes are called on the page, in both views: names are anybody's. */

import { shorten } from "./grid_frame.js";

// They would turn the text around them, or break its line.
const CONTROLS = /[\u0000-\u001f\u007f-\u009f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]/g;

/** What a class is called. */
export function className(study, label) {
  return study.class_names[label].replace(CONTROLS, "\ufffd").trim() || `class ${label}`;
}

/** What it is called within a text, where it must not be long. */
export function shortName(study, label) {
  return shorten(className(study, label));
}

const MOST_FOUND = 5; // more are not pointed out: the reader goes on typing

/** Those of the found classes that are pointed out. */
export function shownClasses(study, text) {
  const found = findClasses(study, text);
  return found.length > MOST_FOUND ? [] : found;
}

/**
 * The classes that a reader looks for: those of that name, else those with it in theirs.
 * @return {Array<number>} Labels; none for an empty text.
 */
export function findClasses(study, text) {
  const wanted = text.trim().toLowerCase();
  if (!wanted) return [];
  const names = classNames(study).map((name) => name.toLowerCase());
  const labels = names.map((_, label) => label);
  const same = labels.filter((label) => names[label] === wanted);
  return same.length ? same : labels.filter((label) => names[label].includes(wanted));
}

/** What all of them are called, by label. */
export function classNames(study) {
  return study.class_names.map((_, label) => className(study, label));
}
