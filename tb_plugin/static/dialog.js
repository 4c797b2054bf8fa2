/** Dialogs: the browser's own, so that focus and Escape work as everywhere. */

import { html } from "./dom.js";
import { onKey } from "./host.js";

onKey((event) => {
  // The browser closes a dialog only where the keyboard is in this frame.
  if (event.key === "Escape" && event.view !== window) document.querySelector("dialog[open]")?.close();
});

/**
 * Opens a dialog.
 * @param {string} title
 * @param {Array<Node|string>} content
 * @param {{onclose?: function(), wide?: boolean}} options
 * @return {{node: HTMLDialogElement, body: HTMLElement, close: function(),
 *   setTitle: function(string)}}
 */
export function openDialog(title, content, { onclose, wide = false } = {}) {
  const body = html("div", { class: "dialog-body" }, ...content);
  const heading = html("h2", { text: title });
  const close = html("button", {
    type: "button",
    class: "icon",
    "aria-label": "Close",
    text: "✕",
    onclick: () => node.close(),
  });
  const node = html(
    "dialog",
    { class: wide ? "wide" : null, "aria-label": title },
    html("header", {}, heading, close),
    body,
  );
  node.addEventListener("close", () => {
    node.remove();
    onclose?.();
  });
  node.addEventListener("click", (event) => {
    // Outside the dialog's own box.
    if (event.target === node) node.close();
  });
  document.body.append(node);
  node.showModal();
  const setTitle = (text) => {
    heading.textContent = text;
    node.setAttribute("aria-label", text);
  };
  return { node, body, close: () => node.close(), setTitle };
}
