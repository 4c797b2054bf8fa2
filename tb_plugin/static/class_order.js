/** A dialog in which the reader brings the classes into an order. */

import { openDialog } from "./dialog.js";
import { html, replace } from "./dom.js";

/**
 * Opens it.
 * @param {{names: Array<string>, order: Array<number>, presets: Array<{text: string,
 *   order: Array<number>}>, onchange: function(Array<number>)}} settings `names` by
 *   label; `order` are labels; `onchange` is told after every step.
 */
export function openClassOrder({ names, order, presets, onchange }) {
  let labels = [...order];
  let dragged = null;
  const list = html("ol", { class: "order", "aria-label": "Order of the classes" });
  const status = html("p", { class: "visually-hidden", role: "status" });
  const rows = new Map(names.map((name, label) => [label, rowOf(name, label)]));

  function rowOf(name, label) {
    const step = (by, text, what) =>
      html("button", {
        type: "button",
        class: "small",
        "data-by": by,
        title: what,
        "aria-label": `${what}: ${name}`,
        text,
        onclick: (event) => move(label, by, event.currentTarget),
      });
    const row = html(
      "li",
      {
        tabindex: "0",
        draggable: "true",
        "data-label": label,
        onkeydown: (event) => onKey(event, label),
        ondragstart: (event) => {
          dragged = label;
          row.classList.add("dragged");
          event.dataTransfer.effectAllowed = "move";
          event.dataTransfer.setData("text/plain", name);
        },
        ondragover: (event) => {
          if (dragged === null) return;
          event.preventDefault();
          if (dragged !== label) place(dragged, labels.indexOf(label));
        },
        ondrop: (event) => event.preventDefault(),
        ondragend: () => {
          row.classList.remove("dragged");
          dragged = null;
          onchange([...labels]);
        },
      },
      html("span", { class: "handle", "aria-hidden": "true", text: "⠿" }),
      html("span", { class: "name", text: name }),
      step(-1, "↑", "Up"),
      step(1, "↓", "Down"),
    );
    return row;
  }

  /** Moves a class in the list, without telling. */
  function place(label, to) {
    const from = labels.indexOf(label);
    if (to < 0 || to >= labels.length || to === from) return false;
    labels.splice(from, 1);
    labels.splice(to, 0, label);
    const row = rows.get(label);
    const after = labels[to + 1];
    list.insertBefore(row, after === undefined ? null : rows.get(after));
    return true;
  }

  function move(label, by, focused) {
    if (!place(label, labels.indexOf(label) + by)) return;
    // A node that is moved loses the focus.
    focused.focus();
    status.textContent = `${names[label]}: place ${labels.indexOf(label) + 1} of ${labels.length}`;
    onchange([...labels]);
  }

  function onKey(event, label) {
    const by = { ArrowUp: -1, ArrowDown: 1 }[event.key];
    if (!by) return;
    event.preventDefault();
    if (event.altKey) return void move(label, by, event.target);
    const next = labels[labels.indexOf(label) + by];
    if (next !== undefined) rows.get(next).focus();
  }

  function take(next) {
    labels = [...next];
    replace(list, ...labels.map((label) => rows.get(label)));
  }

  take(labels);
  const buttons = presets.map((preset) =>
    html("button", {
      type: "button",
      text: preset.text,
      onclick: () => {
        take(preset.order);
        onchange([...labels]);
      },
    }),
  );
  return openDialog("Order of the classes", [
    html("p", { class: "muted", text: "Drag a class, use its buttons, or press Alt with ↑ or ↓ on it." }),
    html("div", { class: "controls" }, ...buttons),
    list,
    status,
  ]);
}
