/** What changed in an image on its way to a prototype: grey where nothing did. */

import { html } from "./dom.js";

const MIDDLE = 128;
// Of the changes: what is beyond this share of them is cut.
const QUANTILE = 0.98;
// Enough of a large mosaic's pixels to find the quantile.
const MAX_SAMPLED = 200_000;

/**
 * What changed from the first of some pictures to the others.
 * @param {Array<HTMLCanvasElement>} pictures Of one size, at least two.
 * @return {{pictures: Array<HTMLCanvasElement>, factor: number}} `factor` by which the
 *   contrast of the changes is raised, or lowered: as those to the last picture allow.
 */
export function changesSince(pictures) {
  const { width, height } = pictures[0];
  const pixels = pictures.map((canvas) => canvas.getContext("2d").getImageData(0, 0, width, height));
  const changes = pixels.map(({ data }) => Int16Array.from(data, (value, at) => value - pixels[0].data[at]));
  const factor = factorOf(changes.at(-1));
  return { pictures: changes.map((change) => drawChange(change, factor, width, height)), factor };
}

/**
 * What changed in every image of a mosaic since its origin's class prototype, which is
 * in the same column on the diagonal.
 * @param {HTMLImageElement} mosaic size x size images.
 * @return {{url: string, factor: number}}
 */
export function changesInMosaic(mosaic, size) {
  const { naturalWidth: width, naturalHeight: height } = mosaic;
  const canvas = html("canvas", { width, height });
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(mosaic, 0, 0);
  const { data } = context.getImageData(0, 0, width, height);
  const [cellWidth, cellHeight] = [width / size, height / size];
  const change = new Int16Array(data.length);
  for (let y = 0; y < height; y += 1) {
    const within = y % cellHeight;
    for (let x = 0; x < width; x += 1) {
      const origin = Math.floor(x / cellWidth);
      const at = 4 * (y * width + x);
      const first = 4 * ((origin * cellHeight + within) * width + x);
      for (let channel = 0; channel < 3; channel += 1) {
        change[at + channel] = data[at + channel] - data[first + channel];
      }
    }
  }
  const factor = factorOf(change);
  return { url: drawChange(change, factor, width, height).toDataURL(), factor };
}

/** The contrast of the changes: so that nearly all of them are told apart. */
function factorOf(change) {
  const step = Math.max(1, Math.ceil(change.length / MAX_SAMPLED));
  const magnitudes = [];
  for (let at = 0; at < change.length; at += step) {
    if (at % 4 < 3) magnitudes.push(Math.abs(change[at]));
  }
  const sorted = Int16Array.from(magnitudes).sort();
  return 127 / Math.max(1, sorted[Math.floor(QUANTILE * (sorted.length - 1))]);
}

function drawChange(change, factor, width, height) {
  const canvas = html("canvas", { width, height });
  const colours = Uint8ClampedArray.from(change, (value, at) => (at % 4 === 3 ? 255 : MIDDLE + factor * value));
  canvas.getContext("2d").putImageData(new ImageData(colours, width, height), 0, 0);
  return canvas;
}
