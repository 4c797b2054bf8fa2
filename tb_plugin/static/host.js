/**
 * The page around this frame: its address, its colours, its messages.
 *
 * TensorBoard offers plugins no way to write the address and no theme, so both are done
 * on the parent, which has the same origin. Where it cannot be reached (a notebook that
 * shows only this frame), the view works without a shareable address.
 */

const PREFIX = "p.keras_confusion.";

function host() {
  try {
    // Throws where the parent has another origin.
    void parent.location.hash;
    return parent === window ? null : parent;
  } catch {
    return null;
  }
}

/** What the address says of this plugin's view, as an object of texts. */
export function readAddress() {
  const owner = host();
  const values = {};
  if (!owner) return values;
  for (const token of owner.location.hash.replace(/^#/, "").split("&")) {
    const at = token.indexOf("=");
    if (at < 0) continue;
    try {
      const key = decodeURIComponent(token.slice(0, at));
      if (key.startsWith(PREFIX)) {
        values[key.slice(PREFIX.length)] = decodeURIComponent(token.slice(at + 1));
      }
    } catch {
      // Not percent-encoded: not written by this plugin.
    }
  }
  return values;
}

/** The whole address of a view, or of this frame where there is no host. */
export function addressOf(values) {
  const owner = host();
  if (!owner) return String(location.href);
  const kept = owner.location.hash
    .replace(/^#/, "")
    .split("&")
    .filter((token) => token.includes("=") && !isOurs(token));
  const ours = Object.entries(values).map(
    ([key, value]) => `${PREFIX}${key}=${encodeURIComponent(value)}`,
  );
  const hash = ["keras_confusion", ...kept, ...ours].join("&");
  const url = new URL(owner.location.href);
  url.hash = hash;
  return url.href;
}

function isOurs(token) {
  return token.startsWith(PREFIX) || token.startsWith(encodeURIComponent(PREFIX));
}

/** Writes a view into the address; TensorBoard's own history state stays. */
export function writeAddress(values, { push = false } = {}) {
  const owner = host();
  // While another tab is shown, the address is that tab's.
  if (!owner || !isShown()) return;
  const url = addressOf(values);
  if (url === owner.location.href) return;
  try {
    if (push) owner.history.pushState(owner.history.state, "", url);
    else owner.history.replaceState(owner.history.state, "", url);
  } catch {
    // Some browsers allow so many changes a minute: the address lags behind the view.
  }
}

/** Goes back by one view; whether there is an address to go back in. */
export function goBack() {
  const owner = host();
  if (!owner || !isShown()) return false;
  owner.history.back();
  return true;
}

function isShown() {
  const frame = window.frameElement;
  return !frame || frame.getBoundingClientRect().height > 0;
}

/** Calls back when the reader goes back, forward, or opens another link. */
export function onAddressChange(callback) {
  const owner = host();
  if (!owner) return;
  owner.addEventListener("hashchange", callback);
  owner.addEventListener("popstate", callback);
}

/**
 * Calls back for every key: after a click on the tab, the keyboard is the host's, and
 * stays there until something in this frame is clicked.
 */
export function onKey(callback) {
  document.addEventListener("keydown", callback);
  host()?.document.addEventListener("keydown", (event) => {
    if (isShown() && !isTyping(event)) callback(event);
  });
}

/** Whether a key goes into a field where it means something else. */
export function isTyping(event) {
  const fields = "input:not([type=range], [type=checkbox]), select, textarea, [contenteditable]";
  return Boolean(event.target.closest?.(fields));
}

/** Follows TensorBoard's dark mode; calls back at once and at every change. */
export function watchTheme(callback) {
  const owner = host();
  const media = matchMedia("(prefers-color-scheme: dark)");
  const isDark = () =>
    owner ? owner.document.body.classList.contains("dark-mode") : media.matches;
  const tell = () => {
    const theme = isDark() ? "dark" : "light";
    if (document.documentElement.dataset.theme === theme) return;
    document.documentElement.dataset.theme = theme;
    callback(theme);
  };
  if (owner) {
    new MutationObserver(tell).observe(owner.document.body, {
      attributes: true,
      attributeFilter: ["class"],
    });
  } else {
    media.addEventListener("change", tell);
  }
  tell();
}

/** Calls back when TensorBoard's reload button was pressed, or it reloads by itself. */
export function onReload(callback) {
  if (parent === window) return;
  const channel = new MessageChannel();
  channel.port1.onmessage = ({ data }) => {
    let message;
    try {
      message = JSON.parse(data);
    } catch {
      return;
    }
    if (message.isReply) return;
    if (message.type === "experimental.DataReloaded") callback();
    const reply = { type: message.type, id: message.id, payload: null, error: null, isReply: true };
    channel.port1.postMessage(JSON.stringify(reply));
  };
  parent.postMessage("experimental.bootstrap", "*", [channel.port2]);
}
