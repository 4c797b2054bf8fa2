/** The cells of a grid: rectangles, one picture of a pixel a cell, or pictures. */

import "./colours.js";
import { html, svg } from "./dom.js";
import { isCrisp } from "./grid_frame.js";

const d3 = globalThis.d3;

/** A rectangle a cell, with its number where it fits. */
export function drawCells(group, content, { left, top, width, height }, colours) {
  const gap = width >= 12 ? 1 : 0;
  const canHoldText = content.format && width >= 34 && height >= 18;
  content.rows.forEach((_, row) => {
    content.columns.forEach((__, column) => {
      const value = content.values[row * content.columns.length + column];
      const x = left + column * width;
      const y = top + row * height;
      const isKnown = Number.isFinite(value);
      const isAside = content.isAside?.(row, column) ?? false;
      group.append(
        svg("rect", {
          x,
          y,
          width: width - gap,
          height: height - gap,
          fill: isKnown && !isAside ? content.scale.colour(value) : isKnown ? colours.aside : colours.empty,
        }),
      );
      if (!isKnown) {
        group.append(
          svg("path", {
            d: `M${x + width * 0.35},${y + height * 0.65}L${x + width * 0.65},${y + height * 0.35}`,
            stroke: colours.rule,
            "stroke-width": 1,
          }),
        );
        return;
      }
      const ink = isAside ? colours.text : content.scale.ink(value);
      if (canHoldText) {
        group.append(
          svg("text", {
            x: x + width / 2,
            y: y + height / 2,
            "text-anchor": "middle",
            "dominant-baseline": "central",
            "font-size": 10.5,
            fill: ink,
            text: content.format(value),
          }),
        );
      }
      if (content.isMarked?.(row, column)) {
        group.append(
          svg("circle", {
            cx: canHoldText ? x + width - 6 : x + width / 2,
            cy: canHoldText ? y + 5.5 : y + height / 2,
            r: Math.max(1.2, Math.min(2.8, width / 7)),
            fill: ink,
          }),
        );
      }
    });
  });
}

/** A pixel a cell: for many. */
export function drawPixels(group, content, { left, top, width, height }, colours) {
  const rows = content.rows.length;
  const columns = content.columns.length;
  const canvas = html("canvas", { width: columns, height: rows });
  const context = canvas.getContext("2d");
  const image = context.createImageData(columns, rows);
  const empty = d3.rgb(colours.empty);
  const aside = d3.rgb(colours.aside);
  // A table of colours: a formula for each of many cells would be slow.
  const [low, high] = content.scale.domain;
  const table = Array.from({ length: 256 }, (_, step) =>
    d3.rgb(content.scale.colour(low + (step / 255) * (high - low))),
  );
  for (let index = 0; index < rows * columns; index += 1) {
    const value = content.values[index];
    const step = Math.min(255, Math.max(0, Math.round((255 * (value - low)) / (high - low))));
    const isAside = content.isAside?.(Math.floor(index / columns), index % columns) ?? false;
    const { r, g, b } = !Number.isFinite(value) ? empty : isAside ? aside : table[step];
    image.data.set([r, g, b, 255], 4 * index);
  }
  context.putImageData(image, 0, 0);
  group.append(
    svg("image", {
      href: canvas.toDataURL(),
      x: left,
      y: top,
      width: width * columns,
      height: height * rows,
      preserveAspectRatio: "none",
      style: "image-rendering: pixelated",
    }),
  );
  if (!content.isMarked) return;
  const radius = Math.max(0.8, Math.min(2.8, width / 6));
  // One path a colour: thousands of circles would be slow.
  const paths = new Map();
  for (let row = 0; row < rows; row += 1) {
    for (let column = 0; column < columns; column += 1) {
      const value = content.values[row * columns + column];
      if (!Number.isFinite(value) || !content.isMarked(row, column)) continue;
      const ink = content.isAside?.(row, column) ? colours.text : content.scale.ink(value);
      if (!paths.has(ink)) paths.set(ink, []);
      paths.get(ink).push(dotPath(left + (column + 0.5) * width, top + (row + 0.5) * height, radius));
    }
  }
  for (const [fill, dots] of paths) group.append(svg("path", { d: dots.join(""), fill }));
}

function dotPath(x, y, r) {
  return `M${(x - r).toFixed(1)},${y.toFixed(1)}a${r},${r} 0 1 0 ${2 * r},0a${r},${r} 0 1 0 ${-2 * r},0`;
}

/** Part of the picture a cell, thinly set apart where there is room. */
export function drawPictures(group, content, { left, top, width, height }, colours) {
  group.append(
    svg("image", {
      href: content.pictures.url,
      x: left,
      y: top,
      width: width * content.columns.length,
      height: height * content.rows.length,
      preserveAspectRatio: "none",
      // Pixels that are not of one size would look like a pattern.
      style: isCrisp(width, content.pictures.cell) ? "image-rendering: pixelated" : "",
    }),
  );
  if (width >= 12) {
    const [right, bottom] = [left + width * content.columns.length, top + height * content.rows.length];
    const lines = [
      ...content.columns.slice(1).map((_, at) => `M${left + (at + 1) * width},${top}V${bottom}`),
      ...content.rows.slice(1).map((_, at) => `M${left},${top + (at + 1) * height}H${right}`),
    ];
    const thickness = width >= 64 ? 4 : width >= 24 ? 2 : 1;
    group.append(svg("path", { d: lines.join(""), stroke: colours.background, "stroke-width": thickness }));
  }
  content.rows.forEach((_, row) => {
    content.columns.forEach((__, column) => {
      const stroke = content.warn?.(row, column);
      if (!stroke) return;
      // Inside of what points at the cell; faded, as what is in it does not count.
      const inset = width >= 24 ? 4 : 0.5;
      const frame = {
        x: left + column * width + inset,
        y: top + row * height + inset,
        width: width - 2 * inset,
        height: height - 2 * inset,
      };
      const thickness = width >= 24 ? 2 : 1;
      const faded = { fill: colours.background, "fill-opacity": 0.55, stroke: colours.background };
      group.append(
        svg("rect", { ...frame, ...faded, "stroke-width": thickness + 2 }),
        svg("rect", { ...frame, fill: "none", stroke, "stroke-width": thickness, "stroke-dasharray": "5 4" }),
      );
    });
  });
}

/** Thin lines between groups of rows. */
export function drawRules(group, content, { left, top, width, height }, colours) {
  const right = left + width * content.columns.length;
  for (const row of content.rowRules ?? []) {
    const y = top + row * height - 0.5;
    group.append(svg("line", { x1: left, x2: right, y1: y, y2: y, stroke: colours.muted, "stroke-width": 1 }));
  }
}
