/** What the prototype view asks the server for; answers are kept while they are likely to be seen again. */

import { getBlob, getFloats, getJson, urlOf } from "./api.js";
import { html } from "./dom.js";
import { changesInMosaic } from "./prototype_changes.js";

const MAX_KEPT = 48;
// Shorter waits are not shown: they would only flicker.
const FETCHING_MS = 250;

/** The data of a study in one state: of a run with a stamp. */
export class Source {
  constructor({ run, stamp, study }) {
    this._names = { run, stamp };
    this._size = study.class_names.length;
    this._isScaled = study.image_scale < 1;
    this._numFrames = study.num_frames;
    this._kept = new Map();
  }

  /** Measures and trends. */
  overview() {
    return this._keep("overview", () => getJson("prototypes/overview", this._names));
  }

  /** Float32Array (K, K, 4). */
  cells(interval, init) {
    return this._keep(`cells ${interval} ${init}`, () =>
      getFloats("prototypes/cells", { ...this._names, interval, init }),
    );
  }

  /** Float32Array (K, K). */
  slice(matrix, interval, init, index) {
    return this._keep(`${matrix} ${interval} ${init} ${index}`, () =>
      getFloats("prototypes/matrix", { ...this._names, interval, init, matrix, index }),
    );
  }

  /** All images of a part in one picture: an HTMLImageElement. */
  mosaic(interval, init) {
    return this._picture("prototypes/image", { interval, init });
  }

  /** What changed in all images of a part: {url, factor}, see prototype_changes.js. */
  changes(interval, init) {
    return this._keep(`changes ${interval} ${init}`, async () =>
      changesInMosaic(await this.mosaic(interval, init), this._size),
    );
  }

  /** One prototype in its own pixels: a canvas. */
  async prototype(interval, init, target, origin) {
    if (!this._isScaled) return this.preview(await this.mosaic(interval, init), target, origin);
    const row = await this._picture("prototypes/image", { interval, init, target });
    return cut(row, this._size, 1, origin, 0);
  }

  /** One prototype as it is in the mosaic, which may be smaller than its own pixels. */
  preview(mosaic, target, origin) {
    return cut(mosaic, this._size, this._size, origin, target);
  }

  /** The images on the way to a prototype, first to final: canvases. */
  async frames(interval, init, target, origin) {
    if (!this._numFrames) return [];
    const rows = await this._picture("prototypes/frames", { interval, init, target });
    return Array.from({ length: this._numFrames }, (_, frame) =>
      cut(rows, this._numFrames, this._size, frame, origin),
    );
  }

  /** All images of a part on their way, a picture of the whole grid a frame. */
  async ways(interval, init) {
    const mosaic = await this.mosaic(interval, init);
    const targets = Array.from({ length: this._size }, (_, target) => target);
    const rows = await Promise.all(
      // Not kept: there may be many.
      targets.map((target) => loadImage("prototypes/frames", { ...this._names, interval, init, target })),
    );
    return Promise.all(
      Array.from({ length: this._numFrames }, (_, frame) => frameOfAll(rows, frame, this._numFrames, mosaic)),
    );
  }

  _picture(route, parameters) {
    return this._keep(JSON.stringify([route, parameters]), () => loadImage(route, { ...this._names, ...parameters }));
  }

  _keep(key, load) {
    let promise = this._kept.get(key);
    this._kept.delete(key);
    if (!promise) {
      promise = load();
      // Asked for again where it failed.
      promise.catch(() => this._kept.delete(key));
    }
    this._kept.set(key, promise);
    if (this._kept.size > MAX_KEPT) this._kept.delete(this._kept.keys().next().value);
    return promise;
  }
}

/** The message when `what` could not be read. */
export function unreadable(what, error) {
  return `${what} could not be read: ${error.message}`;
}

/** One frame of all targets, whose pictures have origins as rows, in the size of the mosaic. */
function frameOfAll(targets, frame, numFrames, { naturalWidth, naturalHeight }) {
  const canvas = html("canvas", { width: naturalWidth, height: naturalHeight });
  const context = canvas.getContext("2d");
  const [width, height] = [naturalWidth, naturalHeight].map((side) => side / targets.length);
  targets.forEach((picture, target) => {
    const [fromWidth, fromHeight] = [picture.naturalWidth / numFrames, picture.naturalHeight / targets.length];
    targets.forEach((_, origin) => {
      const from = [frame * fromWidth, origin * fromHeight, fromWidth, fromHeight];
      context.drawImage(picture, ...from, origin * width, target * height, width, height);
    });
  });
  return decoded(canvas.toDataURL());
}

async function decoded(url) {
  const image = new Image();
  image.src = url;
  await image.decode();
  return image;
}

async function loadImage(route, parameters) {
  const url = urlOf(route, parameters);
  try {
    return await decoded(url);
  } catch {
    // An image does not tell why it failed: the answer does.
    await getBlob(route, parameters);
    throw new Error("The browser cannot decode it.");
  }
}

/** One cell of a picture of columns x rows cells, as a canvas in its own pixels. */
function cut(image, columns, rows, column, row) {
  const width = image.naturalWidth / columns;
  const height = image.naturalHeight / rows;
  const canvas = html("canvas", { width, height });
  // Changes are computed from its pixels.
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(image, column * width, row * height, width, height, 0, 0, width, height);
  return canvas;
}

/**
 * A part of the page whose data come by request. One request is under way; meanwhile
 * only the newest wish waits. What failed is told in place, leaves the old picture, and
 * is tried again at the next wish. While it waits for long, it is faded.
 */
export class Requested {
  /**
   * @param {function(*)} draw Called with what was loaded.
   * @param {{what: string, node: function(): Element}} part `what` is read, for messages,
   *   and shown in `node`.
   */
  constructor(draw, { what, node }) {
    this._draw = draw;
    this._what = what;
    this._node = node;
    this.alert = html("p", { class: "warning", role: "alert", hidden: true });
    this.value = null;
  }

  /** Wishes for what `load` gives; the same key again is the same wish. */
  want(key, load) {
    if (key === this._key && !this._hasFailed) return;
    this._key = key;
    this._hasFailed = false;
    this._waiting = load;
    if (!this._isBusy) this._next();
  }

  /** Wishes for the same again are answered again. */
  forget() {
    this._key = this.value = null;
  }

  destroy() {
    this._isDestroyed = true;
    clearTimeout(this._timer);
  }

  async _next() {
    const load = this._waiting;
    this._waiting = null;
    this._isBusy = true;
    clearTimeout(this._timer);
    this._timer = setTimeout(() => this._showFetching(true), FETCHING_MS);
    try {
      const value = await load();
      if (this._isDestroyed) return;
      this.value = value;
      this._tell("");
      this._draw(value);
    } catch (error) {
      this._hasFailed = !this._waiting;
      this._tell(unreadable(this._what, error));
    } finally {
      this._isBusy = false;
      clearTimeout(this._timer);
    }
    if (this._isDestroyed) return;
    if (this._waiting) this._next();
    // What is faded stays so until it is what was wished for.
    else this._showFetching(false);
  }

  _showFetching(isFetching) {
    const node = this._node();
    node.classList.toggle("fetching", isFetching);
    // There is nothing to fade yet.
    node.classList.toggle("blank", isFetching && !this.value);
    if (isFetching) node.setAttribute("aria-busy", "true");
    else node.removeAttribute("aria-busy");
  }

  _tell(text) {
    // The same text again would be read out again.
    if (this.alert.textContent !== text) this.alert.textContent = text;
    this.alert.hidden = text === "";
  }
}
