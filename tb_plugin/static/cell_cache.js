/** Answers of `confusion/cell`, kept: a reader moves over the same cells again. */

import { getJson } from "./api.js";

const MAX_CELLS = 300;

/** Cells by study, stamp and place. */
export class CellCache {
  constructor() {
    this._answers = new Map();
  }

  /** The answer if it is there already. */
  peek(entry, place) {
    return this._answers.get(keyOf(entry, place))?.answer ?? null;
  }

  /**
   * Asks for a cell.
   * @param {Object} entry Of `studies`.
   * @param {{table: string, response: string, row: number, target: number}} place
   * @return {Promise<Object>}
   */
  get(entry, place) {
    const key = keyOf(entry, place);
    const known = this._answers.get(key);
    if (known) return known.promise;
    const { table, response, row, target } = place;
    const record = {};
    record.promise = getJson("confusion/cell", {
      run: entry.run,
      table,
      response,
      row,
      target,
      stamp: entry.stamp,
    }).then(
      (answer) => {
        record.answer = answer;
        return answer;
      },
      (error) => {
        // To be asked for again.
        this._answers.delete(key);
        throw error;
      },
    );
    this._answers.set(key, record);
    if (this._answers.size > MAX_CELLS) this._answers.delete(this._answers.keys().next().value);
    return record.promise;
  }
}

function keyOf(entry, { table, response, row, target }) {
  return JSON.stringify([entry.run, entry.stamp, table, response, row, target]);
}
