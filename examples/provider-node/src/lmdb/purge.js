import { CallContext } from '../call-context.js';
import { log } from '../log.js';
import * as layout from './layout.js';

const MAX_ROWS = 1000; // in one transaction
const RETRY_PAUSE = 1000; // milliseconds after a failure

/**
 * Removes the rows of deleted stores, in small transactions between other writes.
 * It continues after a restart.
 */
export class Purge {
  #db;
  #writer;
  #running = false;
  #stopped = false;

  constructor(db, writer) {
    this.#db = db;
    this.#writer = writer;
  }

  async start() {
    if (this.#running || this.#stopped) return;
    this.#running = true;
    try {
      while (!this.#stopped && (await this.#writer.submit(() => this.#some(), 0, new CallContext())));
    } catch (e) {
      log.warn('removing a deleted store failed; it is tried again', { error: e.message });
      setTimeout(() => this.start(), RETRY_PAUSE).unref();
    }
    this.#running = false;
  }

  stop() {
    this.#stopped = true;
  }

  /** In a transaction. @returns {boolean} whether there may be more */
  #some() {
    const start = Buffer.from('garbage/');
    const [row] = this.#db.meta.getRange({ start, end: layout.keyAfter(start), limit: 1, values: false });
    if (!row) return false;
    const store = Number(row.subarray(start.length).toString());
    const removed = this.#entries(store) + rows(this.#db.changes, store).map((key) => this.#db.changes.removeSync(key)).length;
    if (removed === 0) this.#db.meta.removeSync(row);
    return true;
  }

  #entries(store) {
    const keys = rows(this.#db.entries, store);
    for (const key of keys) {
      const { expires } = layout.toEntry(this.#db.entries.get(key));
      if (expires) this.#db.deadlines.removeSync(layout.deadlineKey(expires, store, layout.keyOfEntry(key)));
      this.#db.entries.removeSync(key);
    }
    return keys.length;
  }
}

function rows(table, store) {
  const start = layout.storeKey(store);
  return [...table.getRange({ start, end: layout.keyAfter(start), limit: MAX_ROWS, values: false })];
}
