/** The plugin's page: finds the studies, follows them, and shows one of the two views. */

import { getJson } from "./api.js";
import { openDialog } from "./dialog.js";
import { choice, html, replace, setOptions } from "./dom.js";
import { openHelp, showEmpty, showStudyError, showTrouble } from "./help.js";
import { isTyping, onKey, onReload, watchTheme } from "./host.js";
import { duration } from "./numbers.js";
import { store } from "./state.js";
import { hideTooltip } from "./tooltip.js";

const TITLE = "Confusion: what classifiers learned";
const SECONDS_BETWEEN_POLLS = 5;
const VIEWS = {
  confusion: { text: "Confusion", load: () => import("./confusion_view.js") },
  prototypes: { text: "Prototypes", load: () => import("./prototype_view.js") },
};

class Page {
  constructor() {
    this._studies = [];
    this._lastRuns = {}; // by view: where to come back to
    this._isPaused = false;
    this._shown = null; // what the view shows: kind, and whether it is a notice
    this._view = null;
    document.title = TITLE;
    this._bar = html("header", { class: "bar" });
    this._main = html("main");
    this._buildBar();
    document.body.append(this._bar, this._main);
  }

  start() {
    store.subscribe(() => this._show());
    watchTheme(() => this._view?.redraw());
    onReload(() => this._poll());
    document.addEventListener("visibilitychange", () => {
      if (!document.hidden && !this._isPaused) this._poll();
    });
    onKey((event) => this._onKey(event));
    setInterval(() => this._tick(), 1000);
    this._poll();
  }

  _buildBar() {
    this._tabs = html("span", { class: "segments", role: "group", "aria-label": "View" });
    for (const [kind, { text }] of Object.entries(VIEWS)) {
      this._tabs.append(
        html("button", {
          type: "button",
          "data-view": kind,
          text,
          onclick: () => store.set({ view: kind, run: this._lastRuns[kind] ?? "" }, { push: true }),
        }),
      );
    }
    this._study = choice({
      label: "Study",
      options: [],
      value: "",
      onchange: (run) => this._changeStudy(run),
    });
    this._progress = html("span", { class: "progress", role: "status" });
    this._age = html("span", { class: "muted" });
    this._pause = html("button", {
      type: "button",
      class: "small",
      "aria-pressed": "false",
      title: "Stop looking for new data",
      text: "Pause",
      onclick: () => this._togglePause(),
    });
    replace(
      this._bar,
      html("h1", { class: "visually-hidden", text: TITLE }),
      this._tabs,
      this._study,
      this._progress,
      html("span", { class: "spacer" }),
      this._age,
      this._pause,
      html("button", { type: "button", text: "Copy link", onclick: (event) => copyLink(event.target) }),
      html("button", { type: "button", "aria-label": "Help", title: "Help (?)", text: "?", onclick: openHelp }),
    );
  }

  _onKey(event) {
    if (isTyping(event)) return;
    if (event.key === "?") openHelp();
    else if (!document.querySelector("dialog[open]")) this._view?.onKey?.(event);
  }

  _togglePause() {
    this._isPaused = !this._isPaused;
    this._pause.setAttribute("aria-pressed", String(this._isPaused));
    this._pause.textContent = this._isPaused ? "Paused" : "Pause";
    if (!this._isPaused) this._poll();
  }

  _tick() {
    if (this._updated === undefined) return;
    const age = (Date.now() - this._updated) / 1000;
    this._age.textContent = this._trouble ? "" : `updated ${duration(age)} ago`;
    const isShown = !document.hidden && document.documentElement.clientHeight > 0;
    if (isShown && !this._isPaused && age >= SECONDS_BETWEEN_POLLS) this._poll();
  }

  async _poll() {
    if (this._isPolling) return;
    this._isPolling = true;
    try {
      const index = await getJson("studies");
      this._studies = index.studies;
      this._index = index;
      this._trouble = null;
    } catch (error) {
      this._trouble = error;
    } finally {
      this._isPolling = false;
      this._updated = Date.now();
    }
    this._show();
    this._tick();
  }

  /** Labels and intervals are numbers: of another study they would mean something else. */
  _changeStudy(run) {
    const [from, to] = [this._chosen(store.get())?.run, run].map((name) =>
      this._studies.find((entry) => entry.run === name)?.study,
    );
    const isAlike = ["class_names", "intervals"].every(
      (key) => JSON.stringify(from?.[key]) === JSON.stringify(to?.[key]),
    );
    const forgotten = { interval: "", target: "", origin: "", pair: "", hand: "", compare: "" };
    if (store.get().order === "hand") forgotten.order = null;
    // T × pair was not chosen where there is nothing else.
    if (from && !from.has_all_pairs) forgotten.table = null;
    store.set({ run, cell: "", enlarged: "", ...(isAlike ? {} : forgotten) }, { push: true });
  }

  /** The study that the address asks for; the first of its view where it names none. */
  _chosen(state) {
    const isOfView = (entry) => !state.view || entry.kind === state.view || entry.kind === null;
    const candidates = this._studies.filter(isOfView);
    if (state.run) return candidates.find((entry) => entry.run === state.run) ?? null;
    return candidates.find((entry) => !entry.error) ?? candidates[0] ?? null;
  }

  _show() {
    if (this._index === undefined && !this._trouble) return;
    const state = store.get();
    const entry = this._chosen(state);
    this._showBar(entry, state);
    if (this._index === undefined) return this._showNotice("trouble", () => showTrouble(this._trouble));
    if (!entry) {
      const missing = state.run && this._studies.length ? state.run : null;
      return this._showNotice(`empty ${missing}`, () => showEmpty(this._index, missing));
    }
    if (entry.error) {
      return this._showNotice(JSON.stringify([entry.run, entry.error]), () => showStudyError(entry));
    }
    this._lastRuns[entry.kind] = entry.run;
    // From now on it is this one: another study may come, and a link is to lead here.
    if (!state.run) return store.set({ view: entry.kind, run: entry.run });
    return this._showView(entry, state);
  }

  _showNotice(name, make) {
    if (this._shown === name) return;
    this._shown = name;
    this._closeView();
    replace(this._main, make());
  }

  async _showView(entry, state) {
    if (this._shown !== entry.kind) {
      this._shown = entry.kind;
      this._closeView();
      replace(this._main);
      const { create } = await VIEWS[entry.kind].load();
      // Another one may have been asked for meanwhile.
      if (this._shown !== entry.kind || this._view) return;
      this._view = create(this._main, { store });
      const now = store.get();
      const current = this._chosen(now);
      if (current && !current.error) this._view.update(current, now, this._studies);
      return;
    }
    this._view?.update(entry, state, this._studies);
  }

  _closeView() {
    hideTooltip();
    this._view?.destroy();
    this._view = null;
  }

  _showBar(entry, state) {
    const kind = entry?.kind ?? state.view;
    for (const tab of this._tabs.children) {
      const count = this._studies.filter((one) => one.kind === tab.dataset.view).length;
      tab.setAttribute("aria-pressed", String(tab.dataset.view === kind));
      tab.disabled = count === 0 && tab.dataset.view !== kind;
      tab.title = `${count} ${count === 1 ? "study" : "studies"}`;
    }
    const options = this._studies
      .filter((one) => one.kind === kind || one.kind === null)
      .map((one) => ({ value: one.run, text: titleOf(one, this._index) }));
    this._study.hidden = options.length === 0;
    setOptions(this._study.select, options, entry?.run ?? "");
    replace(this._progress, ...(entry?.progress ? progressOf(entry) : []));
    if (this._trouble && this._index !== undefined) {
      replace(this._progress, html("span", { class: "warning", text: this._trouble.message }));
    }
  }
}

/** What a study is called; "." is the log directory itself. */
export function titleOf(entry, index) {
  if (entry.name !== ".") return entry.name;
  const parts = String(index?.logdir ?? "").split("/").filter(Boolean);
  return parts[parts.length - 1] ?? "this study";
}

function progressOf(entry) {
  const { num_done: done, num_planned: planned } = entry.progress;
  const unit = (entry.kind === "confusion" ? "network" : "part") + (planned === 1 ? "" : "s");
  if (!planned || done >= planned) {
    return [html("span", { class: "muted", text: `${done} ${unit}, finished` })];
  }
  const facts = [`${done} of ${planned} ${unit}`];
  const { networks_per_minute: rate, seconds_left: left, seconds_since_last: since } = entry.progress;
  const isQuiet = since && rate && since > 120 && since > (20 * 60) / rate;
  if (isQuiet) facts.push(`none for ${duration(since)}: stopped?`);
  else {
    if (rate) facts.push(`${rate < 10 ? rate.toFixed(1) : Math.round(rate)} a minute`);
    if (left) facts.push(`${duration(left)} left`);
  }
  const bar = html("progress", { max: planned, value: done, "aria-label": "Progress of the study" });
  return [bar, html("span", { class: isQuiet ? "warning" : null, text: facts.join(", ") })];
}

async function copyLink(button) {
  const link = store.link();
  try {
    await navigator.clipboard.writeText(link);
    button.textContent = "Copied";
    setTimeout(() => {
      button.textContent = "Copy link";
    }, 1500);
  } catch {
    // There is no clipboard on plain http.
    const field = html("input", { type: "text", readonly: true, value: link, style: "width: 100%" });
    openDialog("Link to this view", [field]);
    field.select();
  }
}

/** Called by TensorBoard when the tab is opened. */
export async function render() {
  document.documentElement.lang = "en";
  const style = html("link", { rel: "stylesheet", href: new URL("style.css", import.meta.url).href });
  const isStyled = new Promise((resolve) => {
    style.addEventListener("load", resolve);
    style.addEventListener("error", resolve);
  });
  document.head.append(style);
  await isStyled;
  new Page().start();
}
