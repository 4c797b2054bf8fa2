/** Small helpers to build elements. Text only ever goes in as text nodes. */

const SVG = "http://www.w3.org/2000/svg";

/**
 * Makes an HTML element.
 * @param {string} tag
 * @param {Object} properties Attributes; `on<event>` are listeners, `class` the class,
 *   `text` the text. `null`, `undefined` and `false` leave an attribute out.
 * @param {...(Node|string|null)} children
 */
export function html(tag, properties = {}, ...children) {
  return fill(document.createElement(tag), properties, children);
}

/** Makes an SVG element, see `html`. */
export function svg(tag, properties = {}, ...children) {
  return fill(document.createElementNS(SVG, tag), properties, children);
}

function fill(node, properties, children) {
  for (const [name, value] of Object.entries(properties)) {
    if (value === null || value === undefined || value === false) continue;
    if (name === "text") node.textContent = value;
    else if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else node.setAttribute(name, value === true ? "" : String(value));
  }
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}

/** Replaces what is in a node. */
export function replace(node, ...children) {
  node.replaceChildren(...children.filter((child) => child !== null && child !== undefined));
}

let counter = 0;

/** An id that no other element of the page has. */
export function uniqueId(prefix) {
  counter += 1;
  return `${prefix}-${counter}`;
}

/**
 * A labelled choice between texts.
 * @param {{label: string, options: Array<{value: string, text: string, disabled?: boolean}>,
 *   value: string, onchange: function(string)}} settings
 * @return {HTMLElement} a label with a select; `.select` is the select.
 */
export function choice({ label, options, value, onchange }) {
  // A name of its own: that of the label would hold all options.
  const select = html("select", { "aria-label": label, onchange: () => onchange(select.value) });
  setOptions(select, options, value);
  const node = html("label", { class: "choice" }, html("span", { text: label }), select);
  node.select = select;
  return node;
}

/** Gives a select new options, and keeps it untouched where they are the same. */
export function setOptions(select, options, value) {
  const signature = JSON.stringify(options);
  if (select.dataset.signature !== signature) {
    select.dataset.signature = signature;
    replace(
      select,
      ...options.map((option) =>
        html("option", { value: option.value, disabled: option.disabled, text: option.text }),
      ),
    );
  }
  if (select.value !== value) select.value = value;
}
