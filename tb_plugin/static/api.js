/** Requests to the plugin's own routes, see http_api.md. */

/** A request that was answered with an error; the message is the server's reason. */
export class ApiError extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

/** Address of a route, relative to the plugin, so that it works under any prefix. */
export function urlOf(route, parameters = {}) {
  const query = new URLSearchParams();
  for (const [key, value] of Object.entries(parameters)) {
    if (value !== null && value !== undefined) query.set(key, value);
  }
  const text = query.toString();
  return text ? `./${route}?${text}` : `./${route}`;
}

async function get(route, parameters) {
  let response;
  try {
    response = await fetch(urlOf(route, parameters));
  } catch {
    throw new ApiError(0, "TensorBoard does not answer.");
  }
  if (!response.ok) {
    const text = (await response.text()).slice(0, 500);
    throw new ApiError(response.status, text || `Error ${response.status}.`);
  }
  return response;
}

/** A JSON answer. */
export async function getJson(route, parameters) {
  return (await get(route, parameters)).json();
}

/** A binary answer: a Float32Array. */
export async function getFloats(route, parameters) {
  return new Float32Array(await (await get(route, parameters)).arrayBuffer());
}

/** A text or file answer: a Blob. */
export async function getBlob(route, parameters) {
  return (await get(route, parameters)).blob();
}

/**
 * Runs one request at a time for one purpose: answers that were overtaken by a newer
 * request are dropped.
 */
export class Latest {
  constructor() {
    this._number = 0;
  }

  /** Drops the answer that is on its way. */
  drop() {
    this._number += 1;
  }

  /**
   * @param {Promise} promise
   * @param {function(*)} onvalue
   * @param {function(Error)} onerror
   */
  take(promise, onvalue, onerror) {
    this._number += 1;
    const number = this._number;
    promise.then(
      (value) => {
        if (number === this._number) onvalue(value);
      },
      (error) => {
        if (number === this._number) onerror(error);
      },
    );
  }
}
