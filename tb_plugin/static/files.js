/** Saving what is shown: tables as CSV, drawings as SVG and PNG. */

import { html } from "./dom.js";
import { palette } from "./colours.js";

const PNG_SCALE = 2;
// What a spreadsheet would take for a formula.
const FORMULA = /^[=+\-@\t\r]/;

/**
 * A table as CSV text.
 * @param {Array<string>} header
 * @param {Array<Array<string|number|null>>} rows Numbers that are not finite are empty.
 */
export function toCsv(header, rows) {
  const lines = [header, ...rows].map((row) => row.map(csvCell).join(","));
  return lines.join("\r\n") + "\r\n";
}

function csvCell(value) {
  if (value === null || value === undefined) return "";
  if (typeof value === "number") return Number.isFinite(value) ? String(value) : "";
  const text = FORMULA.test(value) ? `'${value}` : String(value);
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

/** Gives the reader a file. */
export function saveFile(name, blob) {
  const url = URL.createObjectURL(blob);
  const link = html("a", { href: url, download: name });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}

/** A file name from texts that may hold anything. */
export function fileName(parts, suffix) {
  const safe = parts
    .filter((part) => part !== "" && part !== null && part !== undefined)
    .map((part) => String(part).replace(/[^A-Za-z0-9._-]+/g, "_").slice(0, 60));
  return `${safe.join("-") || "export"}.${suffix}`;
}

/** The drawing as a document of its own, with a background and without outlines. */
export async function svgText(drawing) {
  const copy = drawing.cloneNode(true);
  for (const node of copy.querySelectorAll(".interactive")) node.remove();
  for (const image of copy.querySelectorAll("image")) {
    const href = image.getAttribute("href");
    if (!href.startsWith("data:")) image.setAttribute("href", await dataAddress(href));
  }
  const background = document.createElementNS("http://www.w3.org/2000/svg", "rect");
  background.setAttribute("width", "100%");
  background.setAttribute("height", "100%");
  background.setAttribute("fill", palette().background);
  copy.prepend(background);
  copy.setAttribute("xmlns", "http://www.w3.org/2000/svg");
  return new XMLSerializer().serializeToString(copy);
}

async function dataAddress(href) {
  const blob = await (await fetch(href)).blob();
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(reader.result);
    reader.onerror = () => reject(reader.error);
    reader.readAsDataURL(blob);
  });
}

async function saveSvg(drawing, name) {
  saveFile(name, new Blob([await svgText(drawing)], { type: "image/svg+xml" }));
}

async function savePng(drawing, name) {
  const text = await svgText(drawing);
  const image = new Image();
  await new Promise((resolve, reject) => {
    image.onload = resolve;
    image.onerror = () => reject(new Error("The drawing could not be read back."));
    image.src = `data:image/svg+xml;charset=utf-8,${encodeURIComponent(text)}`;
  });
  const canvas = html("canvas", {
    width: drawing.width.baseVal.value * PNG_SCALE,
    height: drawing.height.baseVal.value * PNG_SCALE,
  });
  const context = canvas.getContext("2d");
  context.imageSmoothingEnabled = false;
  context.drawImage(image, 0, 0, canvas.width, canvas.height);
  const blob = await new Promise((resolve) => canvas.toBlob(resolve, "image/png"));
  saveFile(name, blob);
}

/**
 * Buttons that save a drawing and its numbers.
 * @param {{drawing?: function(): SVGElement, csv?: function(): (string|Blob|Promise<Blob>),
 *   name: function(string): Array<string>}} sources `name`: what the file of a suffix is
 *   called after.
 * @return {HTMLElement}
 */
export function saveButtons({ drawing, csv, name }) {
  const group = html("span", { class: "save", role: "group", "aria-label": "Save" });
  const add = (text, what, save) => {
    const button = html("button", {
      type: "button",
      class: "small",
      title: `Save ${what} as ${text}`,
      "aria-label": `Save ${what} as ${text}`,
      text,
      onclick: async () => {
        button.disabled = true;
        try {
          await save();
          button.classList.remove("failed");
        } catch (error) {
          button.classList.add("failed");
          button.title = `Could not be saved: ${error.message}`;
        } finally {
          button.disabled = false;
        }
      },
    });
    group.append(button);
  };
  if (csv) {
    add("CSV", "the numbers", async () => {
      const table = await csv();
      const blob = typeof table === "string" ? new Blob([table], { type: "text/csv" }) : table;
      saveFile(fileName(name("csv"), "csv"), blob);
    });
  }
  if (drawing) {
    add("SVG", "the picture", () => saveSvg(drawing(), fileName(name("svg"), "svg")));
    add("PNG", "the picture", () => savePng(drawing(), fileName(name("png"), "png")));
  }
  return group;
}
