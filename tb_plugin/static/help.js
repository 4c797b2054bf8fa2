/** What is shown where there is nothing to show, and the help. */

import { openDialog } from "./dialog.js";
import { html } from "./dom.js";

const KEYS = [
  ["← ↑ → ↓", "move in a matrix; Home, End, Page Up, Page Down jump"],
  ["Enter", "open the cell"],
  ["Esc", "hide what is open"],
  ["[ and ]", "the interval before and after (prototypes)"],
  ["p", "the same network's images made in the next way: pixels, fourier, maco (prototypes)"],
  ["f", "play the way of all images from origin to target (prototypes)"],
  ["?", "this help"],
];
const LOG_SNIPPET = [
  "python scripts/run_confusion_study.py --dataset digits --out studies/digits",
  "python scripts/run_prototype_study.py --dataset digits --out studies/prototypes",
  "tensorboard --logdir studies",
].join("\n");

/** Opens the help. */
export function openHelp() {
  if (document.querySelector("dialog[open]")) return;
  const keys = html("table", { class: "data" });
  for (const [key, meaning] of KEYS) {
    keys.append(
      html("tr", {}, html("td", {}, html("kbd", { text: key })), html("td", { style: "text-align: left", text: meaning })),
    );
  }
  openDialog(
    "Help",
    [
      html("h3", { text: "Confusion" }),
      html("p", {
        text:
          "Networks were trained with the labels of two classes confused on purpose (as a rule, " +
          "half of both swapped), so that they could not learn to tell them apart. A cell tells " +
          "how much that moved the accuracy of a class T. Raw accuracy also rises because " +
          "two confused classes are weaker rivals; with the pair left out of the choice, " +
          "that competition is gone. What still moves was done by the features or by the last layer: " +
          "the study's report and its figures (discriminability) tell these two apart.",
      }),
      html("h3", { text: "Prototypes" }),
      html("p", {
        text:
          "Images that were optimised until the network is sure of a class: class prototypes " +
          "on the diagonal, and prototypes dragged from every class (column) to every other " +
          "(row). C compares images of one origin, R images of one target, by 1 − cosine of " +
          "their features.",
      }),
      html("h3", { text: "Keys" }),
      keys,
    ],
    { wide: true },
  );
}

/** No study in the log directory, or not the one that the link asks for. */
export function showEmpty(index, missingRun) {
  const title = missingRun ? "That study is not here" : "No study here yet";
  const first = missingRun
    ? `The link asks for the run “${missingRun}”. It may have been moved, or not be loaded yet.`
    : "This tab shows confusion and prototype studies of image classifiers.";
  return html(
    "div",
    { class: "notice" },
    html("h2", { text: title }),
    html("p", { text: first }),
    html("p", { class: "muted", text: index.logdir ? `Log directory: ${index.logdir}` : "" }),
    html("p", { text: "A study writes its data by itself while it runs; its folder is the log directory:" }),
    html("pre", { text: LOG_SNIPPET }),
    html("p", { text: "Studies of earlier versions: run scripts/analyse_study.py on their folder." }),
    html("p", { text: "To look around without a study of your own: python -m tb_plugin.demo demo_logdir" }),
  );
}

/** A study whose data cannot be shown. */
export function showStudyError(entry) {
  const titles = { newer: "Written by a newer version", malformed: "These data cannot be read" };
  return html(
    "div",
    { class: "notice error", role: "alert" },
    html("h2", { text: titles[entry.error.reason] ?? "This study cannot be shown" }),
    html("p", { text: entry.error.text }),
    html("p", { class: "muted", text: `Run: ${entry.run}` }),
  );
}

/** The server does not answer. */
export function showTrouble(error) {
  return html(
    "div",
    { class: "notice error", role: "alert" },
    html("h2", { text: "No answer" }),
    html("p", { text: error.message }),
    html("p", { class: "muted", text: "Trying again every few seconds." }),
  );
}
