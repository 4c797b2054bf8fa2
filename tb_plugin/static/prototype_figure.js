/** One prototype as a figure: large, beside its class prototypes, on its way, over the training. */

import { palette } from "./colours.js";
import { svg } from "./dom.js";

const FONT = "Roboto, 'Helvetica Neue', Arial, sans-serif";
const WIDTH = 600;
const LARGE = 236;
const SMALL = 72;
const GAP = 8;
const MAX_STRIP = 84;
const MAX_OF_TWO = 66;
const ROW_GAP = 4;
// Frames stand a little beyond the pictures.
const MARGIN = 4;

/**
 * @typedef {Object} FigureContent
 * @property {string} title
 * @property {string} subtitle
 * @property {HTMLCanvasElement} picture
 * @property {Array<{lines: Array<string>, picture: HTMLCanvasElement}>} beside
 * @property {Array<{title: string, items: Array<{label: string, picture: HTMLCanvasElement,
 *   below?: HTMLCanvasElement, isChosen?: boolean, onchoose?: function()}>}>} strips
 */

/**
 * Draws the figure.
 * @param {FigureContent} content
 * @return {SVGElement}
 */
export function drawFigure(content) {
  const colours = palette();
  const aspect = content.picture.height / content.picture.width;
  const head = 44;
  const fit = (side) => [side * Math.min(1, 1 / aspect), side * Math.min(1, aspect)];
  const [, largeHeight] = fit(LARGE);
  const drawing = svg("svg", {
    width: WIDTH + 2 * MARGIN,
    "font-family": FONT,
    "font-size": 12,
    fill: colours.text,
    role: "img",
    "aria-label": `${content.title}. ${content.subtitle}`,
  });
  drawing.append(
    // The page has it as a heading already, a file has not.
    svg("text", { class: "title", x: 0, y: 14, "font-size": 15, "font-weight": "bold", text: content.title }),
    svg("text", { x: 0, y: 32, fill: colours.muted, text: content.subtitle }),
    picture(content.picture, 0, head, ...fit(LARGE), colours),
  );
  const left = LARGE + 28;
  const step = SMALL * Math.min(aspect, 1) + 10;
  content.beside.forEach((item, at) => {
    const y = head + at * step;
    drawing.append(
      picture(item.picture, left, y, ...fit(SMALL), colours),
      ...item.lines.map((text, line) =>
        svg("text", {
          x: left + SMALL + 12,
          y: y + 18 + 17 * line,
          fill: line ? colours.muted : colours.text,
          "font-weight": line ? null : "bold",
          text,
        }),
      ),
    );
  });
  let y = head + Math.max(largeHeight, step * content.beside.length) + 30;
  for (const strip of content.strips) {
    y = drawStrip(drawing, strip, y, aspect, colours);
  }
  drawing.setAttribute("height", Math.ceil(y));
  drawing.setAttribute("viewBox", `${-MARGIN} 0 ${WIDTH + 2 * MARGIN} ${Math.ceil(y)}`);
  return drawing;
}

function drawStrip(drawing, { title, items }, top, aspect, colours) {
  const rows = items.some((item) => item.below) ? 2 : 1;
  const largest = rows > 1 ? MAX_OF_TWO : MAX_STRIP;
  const side = Math.min(largest, (WIDTH - GAP * (items.length - 1)) / items.length);
  const height = side * aspect;
  drawing.append(svg("text", { x: 0, y: top, "font-weight": "bold", text: title }));
  items.forEach((item, at) => {
    const x = at * (side + GAP);
    const y = top + 10;
    drawing.append(picture(item.picture, x, y, side, height, colours));
    if (item.below) drawing.append(picture(item.below, x, y + height + ROW_GAP, side, height, colours));
    drawing.append(
      svg("text", {
        x: x + side / 2,
        y: y + rows * height + (rows - 1) * ROW_GAP + 15,
        "text-anchor": "middle",
        "font-size": 11,
        "font-weight": item.isChosen ? "bold" : null,
        fill: item.isChosen ? colours.text : colours.muted,
        text: item.label,
      }),
    );
    if (item.isChosen) {
      drawing.append(
        svg("rect", {
          ...{ x: x - 2, y: y - 2, width: side + 4, height: height + 4 },
          ...{ fill: "none", stroke: colours.focus, "stroke-width": 2 },
        }),
      );
    }
    if (item.onchoose) {
      drawing.append(
        svg("rect", {
          ...{ class: "interactive surface", x, y, width: side, height, fill: "transparent" },
          onclick: item.onchoose,
        }),
      );
    }
  });
  return top + 10 + rows * height + (rows - 1) * ROW_GAP + 44;
}

function picture(canvas, x, y, width, height, colours) {
  return svg(
    "g",
    {},
    svg("image", {
      ...{ href: canvas.toDataURL(), x, y, width, height },
      style: "image-rendering: pixelated",
    }),
    svg("rect", { x, y, width, height, fill: "none", stroke: colours.rule, "stroke-width": 1 }),
  );
}
