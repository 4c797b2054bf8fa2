/** The grid of prototype images, and the tooltips that enlarge them. */

import { classNames } from "./class_names.js";
import { palette } from "./colours.js";
import { html } from "./dom.js";
import { saveButtons } from "./files.js";
import { Grid } from "./grid.js";
import {
  cellOf,
  countImages,
  factsOfImage,
  parametrizationOf,
  prototypeName,
  wayName,
} from "./prototype_data.js";
import { fixed } from "./numbers.js";
import { FramesBar } from "./prototype_frames.js";
import { Requested, unreadable } from "./prototype_source.js";
import { factsOf, hideTooltip, showTooltip, tooltipTurn } from "./tooltip.js";

const MILLISECONDS_BEFORE_FULL_SIZE = 120;
// More frames than this would only hide the pictures.
const MAX_FRAMES = 1000;
const LARGEST_CELL = 160;
// Of 100 classes it is the resolution of the overview.
const SMALLEST_CELL = 12;
const LABEL_SIZE = 14;

/** A prototype's picture, enlarged without smoothing: as often as fits a width. */
export function enlarged(canvas, width) {
  canvas.classList.add("pixels");
  const times = Math.floor(width / canvas.width);
  canvas.style.width = `${times ? times * canvas.width : width}px`;
  return canvas;
}

/** Tooltips with pictures: small ones at once, full-size ones when the pointer rests. */
export class PictureTip {
  constructor() {
    this._number = 0;
  }

  /**
   * @param {DOMRect} rect
   * @param {{source: Source, interval: number, init: number, isScaled: boolean,
   *   frame?: HTMLImageElement}} part `frame`: a picture of all images on their way.
   * @param {Array<{target: number, origin: number, caption: string}>} prototypes
   * @param {Array<Node>} facts
   */
  async show(rect, part, prototypes, facts) {
    this._number += 1;
    const number = this._number;
    const { source, interval, init } = part;
    const turn = tooltipTurn();
    // Neither pointed elsewhere nor scrolled away meanwhile.
    const isCurrent = () => number === this._number && turn === tooltipTurn();
    try {
      const mosaic = part.frame ?? (await source.mosaic(interval, init));
      if (!isCurrent()) return;
      this._place(rect, prototypes, facts, prototypes.map((one) => source.preview(mosaic, one.target, one.origin)));
      if (!part.isScaled || part.frame) return;
      await new Promise((resolve) => setTimeout(resolve, MILLISECONDS_BEFORE_FULL_SIZE));
      if (!isCurrent()) return;
      const pictures = await Promise.all(
        prototypes.map((one) => source.prototype(interval, init, one.target, one.origin)),
      );
      if (isCurrent()) this._place(rect, prototypes, facts, pictures);
    } catch (error) {
      if (isCurrent()) showTooltip(rect, ...facts, html("p", { class: "warning", text: unreadable("The pictures", error) }));
    }
  }

  hide() {
    this._number += 1;
    hideTooltip();
  }

  _place(rect, prototypes, facts, canvases) {
    const width = prototypes.length > 1 ? 128 : 256;
    const pictures = canvases.map((canvas, at) =>
      html("figure", {}, enlarged(canvas, width), html("figcaption", { text: prototypes[at].caption })),
    );
    showTooltip(rect, html("div", { class: "pictures" }, ...pictures), ...facts);
  }
}

/** The n x n prototypes of one interval and initialisation. */
export class ImagesPanel {
  /** @param {{onopen: function(number, number)}} listeners Told target and origin. */
  constructor(container, { onopen }) {
    this._tip = new PictureTip();
    this._requested = new Requested(() => this._draw(), { what: "The pictures", node: () => this._grid.node });
    const head = html("div", { class: "panel-head" });
    this.node = html("section", { class: "panel images", "aria-label": "Prototypes" }, head, this._requested.alert);
    container.append(this.node);
    this._grid = new Grid(this.node, {
      onhover: (target, origin, rect) => this._explain(target, origin, rect),
      onleave: () => this._hideTip(),
      onopen: (target, origin) => {
        this._hideTip();
        onopen(target, origin);
      },
    });
    this._frames = new FramesBar({
      load: () => {
        const { source, interval, init } = this._requested.value;
        return source.ways(interval, init);
      },
      onframe: () => this._showFrame(),
    });
    head.append(
      this._frames.node,
      html("span", { class: "spacer" }),
      saveButtons({
        drawing: () => this._grid.svg,
        name: () => this._fileName(),
      }),
    );
  }

  /** @param {Choices} choices */
  update(choices, source) {
    this._choices = choices;
    const { interval, init, stamp, run, study, isOfChanges } = choices;
    this._requested.want(JSON.stringify([run, stamp, interval, init, isOfChanges]), async () => {
      const [mosaic, cells] = await Promise.all([source.mosaic(interval, init), source.cells(interval, init)]);
      const changes = isOfChanges ? await source.changes(interval, init) : null;
      return { source, study, interval, init, mosaic, cells, changes, isScaled: study.image_scale < 1 };
    });
    const cell = choices.isCellChosen ? [choices.target, choices.origin] : null;
    const chosen = JSON.stringify([cell, choices.target, choices.origin]);
    if (this._chosen !== chosen) {
      this._chosen = chosen;
      if (cell) this._moved = cell;
      this._draw();
    }
  }

  /** Plays the way of all images, or stops it. */
  togglePlay() {
    this._frames.togglePlay();
  }

  /** Points out prototypes, [target, origin] each. */
  point(cells) {
    this._grid.point(cells);
  }

  redraw() {
    this._draw();
  }

  destroy() {
    this._frames.stop();
    this._requested.destroy();
    this._grid.destroy();
    this._tip.hide();
  }

  _fileName() {
    const { study, init, changes } = this._requested.value;
    const what = [changes ? "changes" : "prototypes", parametrizationOf(study)];
    return [this._choices.name, ...what, `${this._percentage()}percent`, `init${init}`, this._frames.shown?.text];
  }

  _percentage() {
    return this._requested.value.study.intervals[this._requested.value.interval];
  }

  _draw() {
    const shown = this._requested.value;
    if (!shown) return;
    const { study, mosaic, cells, changes } = shown;
    if (this._framed !== shown) {
      this._framed = shown;
      this._frames.reset(changes ? 0 : study.num_frames);
    }
    const names = classNames(study);
    const size = names.length;
    const { made, unconverged: missing } = countImages(cells, size);
    const isFramed = missing <= MAX_FRAMES;
    const colour = palette().text;
    this._warning = missing
      ? `${missing} of ${made} did not converge${isFramed ? " (dashed)" : ""}`
      : `all ${made} converged`;
    const { url, subtitle } = this._picture();
    this._grid.update({
      title: `${changes ? "Changes of prototypes" : "Prototypes"} at ${this._percentage()} % of the training, made by ${parametrizationOf(study)}`,
      subtitle,
      rows: names,
      columns: names,
      rowTitle: "target: what it became",
      columnTitle: "origin: what it began as",
      pictures: {
        url,
        cell: mosaic.naturalWidth / size,
        aspect: mosaic.naturalHeight / mosaic.naturalWidth,
      },
      warn: (target, origin) => {
        const { isMade, isConverged } = cellOf(cells, size, target, origin);
        return isFramed && isMade && !isConverged ? colour : null;
      },
      describe: (target, origin) => this._describe(target, origin),
      selected: this._choices.isCellChosen ? [this._choices.target, this._choices.origin] : null,
      linked: this._choices.isCellChosen ? [this._choices.target, this._choices.origin] : null,
      largestCell: LARGEST_CELL,
      smallestCell: SMALLEST_CELL,
      labelSize: LABEL_SIZE,
    });
    if (this._moved) this._grid.moveTo(...this._moved);
    this._moved = null;
  }

  /** What the cells show: images, their changes, or a frame of their way. */
  _picture() {
    const { init, mosaic, changes } = this._requested.value;
    const part = `initialisation ${init}`;
    if (changes) {
      const contrast = `contrast × ${fixed(changes.factor, 1)}`;
      return { url: changes.url, subtitle: `${part}; since the origin's class prototype, ${contrast}` };
    }
    const frame = this._frames.shown;
    if (frame) return { url: frame.picture.src, subtitle: `${part}; ${frame.text}, from origin to target` };
    return { url: mosaic.src, subtitle: `${part}; ${this._warning}` };
  }

  _showFrame() {
    const { url, subtitle } = this._picture();
    this._grid.showPictures(url, subtitle);
    if (this._explained) this._explain(...this._explained);
  }

  _hideTip() {
    this._explained = null;
    this._tip.hide();
  }

  _describe(target, origin) {
    const { study, cells } = this._requested.value;
    const facts = factsOfImage(study, cellOf(cells, study.class_names.length, target, origin));
    const told = facts.map(([name, value]) => `${name} ${value}`).join(", ");
    return `${prototypeName(study, target, origin)}: ${told}`;
  }

  _explain(target, origin, rect) {
    this._explained = [target, origin, rect];
    const shown = this._requested.value;
    const { study, cells } = shown;
    const cell = cellOf(cells, study.class_names.length, target, origin);
    const frame = this._frames.shown;
    const title = wayName(study, target, origin) + (frame ? `, ${frame.text}` : "");
    const facts = factsOf(title, factsOfImage(study, cell), frame ? "Numbers are those of the finished image." : "");
    this._tip.show(rect, { ...shown, frame: frame?.picture }, [{ target, origin, caption: "" }], facts);
  }
}
