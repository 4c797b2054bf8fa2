/** The bar above the prototypes: interval, initialisation, and how slices are coloured. */

import { choice, html, replace, setOptions, uniqueId } from "./dom.js";
import { nearestInterval, neighbour } from "./prototype_data.js";

const MILLISECONDS_PER_FRAME = 900;

/** The controls that all parts of the view share. */
export class Controls {
  constructor(container, store) {
    this._store = store;
    const ticks = uniqueId("intervals");
    this._ticks = html("datalist", { id: ticks });
    this._slider = html("input", {
      type: "range",
      min: "0",
      step: "1",
      list: ticks,
      "aria-label": "Interval of the training",
      oninput: () => this._go(Number(this._slider.value)),
    });
    this._labels = html("div", { class: "tick-labels", "aria-hidden": "true" });
    this._typed = html("input", {
      type: "number",
      step: "any",
      "aria-label": "Interval, percent of the training",
      onchange: () => this._onTyped(),
    });
    this._follow = html("input", {
      type: "checkbox",
      onchange: () => this._go(this._follow.checked ? "" : this._choices.interval),
    });
    this._play = html("button", { type: "button", onclick: () => this._togglePlay() });
    this._before = this._stepButton("‹", "Interval before ([)", -1);
    this._after = this._stepButton("›", "Interval after (])", 1);
    this._ways = html("span", { class: "segments", role: "group", "aria-label": "Images made by" });
    this._init = choice({
      label: "Initialisation",
      options: [],
      value: "",
      onchange: (init) => store.set({ init }),
    });
    this._grid = choice({
      label: "Grid",
      options: [
        { value: "images", text: "images" },
        { value: "changes", text: "changes" },
      ],
      value: "images",
      onchange: (grid) => store.set({ grid }),
    });
    this._scale = choice({
      label: "Scale of C and R",
      options: [
        { value: "shared", text: "shared" },
        { value: "own", text: "own" },
      ],
      value: "shared",
      onchange: (scale) => store.set({ scale }),
    });
    this._note = html("p", { class: "warning", role: "status", hidden: true });
    this._interval = html(
      "span",
      { class: "interval" },
      html("span", { class: "muted", text: "Interval" }),
      this._before,
      html("span", { class: "slider" }, this._slider, this._labels, this._ticks),
      this._after,
      html("label", { class: "typed" }, this._typed, html("span", { class: "muted", text: "%" })),
      this._play,
      html("label", { class: "choice" }, this._follow, "follow the newest"),
    );
    this.node = html(
      "div",
      { class: "prototype-bar", role: "group", "aria-label": "What is shown" },
      html("span", { class: "choice" }, html("span", { text: "Made by" }), this._ways),
      this._interval,
      this._init,
      this._grid,
      this._scale,
      this._note,
    );
    container.append(this.node);
    this._showPlay();
  }

  /** @param {Choices} choices See prototype_data.js. */
  update(choices) {
    this._choices = choices;
    const { study, finished, interval, init } = choices;
    this._showWays(choices);
    this._showTicks(study.intervals, finished);
    // One is no choice.
    this._interval.hidden = study.intervals.length === 1;
    this._slider.max = study.intervals.length - 1;
    this._slider.value = Math.max(0, interval);
    this._slider.disabled = interval < 0;
    const percentage = interval < 0 ? "" : String(study.intervals[interval]);
    this._slider.setAttribute("aria-valuetext", `${percentage} % of the training`);
    this._typed.min = study.intervals[0];
    this._typed.max = study.intervals.at(-1);
    if (document.activeElement !== this._typed) this._typed.value = percentage;
    this._follow.checked = choices.isFollowing;
    this._before.disabled = neighbour(finished, interval, -1) === null;
    this._after.disabled = neighbour(finished, interval, 1) === null;
    setOptions(
      this._init.select,
      Array.from({ length: study.num_initialisations }, (_, at) => {
        const isThere = Boolean(finished[interval]?.[at]);
        return { value: String(at), text: isThere ? String(at) : `${at} (not finished)`, disabled: !isThere };
      }),
      String(init),
    );
    this._grid.select.value = choices.isOfChanges ? "changes" : "images";
    this._scale.select.value = choices.isShared ? "shared" : "own";
    this._note.textContent = choices.note;
    this._note.hidden = choices.note === "";
  }

  /** Goes to the finished interval before (-1) or after (1). */
  step(step) {
    if (!this._choices) return false;
    const next = neighbour(this._choices.finished, this._choices.interval, step);
    if (next !== null) this._go(next);
    return next !== null;
  }

  /** Shows the same network's images as they are made in the next way. */
  nextWay() {
    const { ways, run } = this._choices;
    const at = ways.findIndex((way) => way.run === run);
    this._store.set({ run: ways[(at + 1) % ways.length].run });
  }

  /** Ends the playback. */
  stop() {
    clearInterval(this._timer);
    this._timer = null;
    this._showPlay();
  }

  destroy() {
    clearInterval(this._timer);
  }

  _go(interval) {
    this._store.set({ interval });
  }

  _stepButton(text, label, step) {
    return html("button", {
      type: "button",
      class: "icon",
      title: label,
      "aria-label": label,
      text,
      onclick: () => this.step(step),
    });
  }

  _onTyped() {
    const { study } = this._choices;
    const percentage = this._typed.valueAsNumber;
    if (Number.isFinite(percentage)) this._go(nearestInterval(study.intervals, percentage));
    this._typed.value = study.intervals[this._choices.interval] ?? "";
  }

  /** A button a way; the only one is told in words. */
  _showWays({ ways, run }) {
    const signature = JSON.stringify(ways);
    if (signature !== this._waysSignature) {
      this._waysSignature = signature;
      const make = ({ run: other, text, title }) =>
        ways.length === 1
          ? html("strong", { title, text })
          : html("button", { type: "button", title, text, onclick: () => this._store.set({ run: other }) });
      replace(this._ways, ...ways.map(make));
    }
    ways.forEach((way, at) => {
      if (ways.length > 1) this._ways.children[at].setAttribute("aria-pressed", String(way.run === run));
    });
  }

  _showTicks(intervals, finished) {
    const signature = JSON.stringify([intervals, finished]);
    if (signature === this._signature) return;
    this._signature = signature;
    replace(this._ticks, ...intervals.map((_, at) => html("option", { value: at })));
    // Of many, as many as there is room for.
    const every = Math.ceil(intervals.length / 9);
    const labels = intervals.map((value, at) => {
      const done = finished[at].filter(Boolean).length;
      const isLabelled = at % every === 0;
      return html("span", {
        class: done ? null : "unfinished",
        title: `${value} %: ${done} of ${finished[at].length} initialisations finished`,
        text: isLabelled ? String(value) : "·",
      });
    });
    replace(this._labels, ...labels);
  }

  _togglePlay() {
    if (this._timer) return this.stop();
    if (!this.step(1)) this._go(nearestFinished(this._choices.finished));
    this._timer = setInterval(() => {
      if (!this.step(1)) this.stop();
    }, MILLISECONDS_PER_FRAME);
    return this._showPlay();
  }

  _showPlay() {
    const text = this._timer ? "Stop" : "Play";
    this._play.textContent = this._timer ? "■" : "▶";
    this._play.title = `${text} the intervals one after the other`;
    this._play.setAttribute("aria-label", this._play.title);
  }
}

function nearestFinished(finished) {
  return Math.max(0, finished.findIndex((inits) => inits.some(Boolean)));
}
