import * as layout from './layout.js';

const nothing = Buffer.alloc(0);

/**
 * One write transaction: it reads and changes entries, assigns revisions, and
 * records the history. It lasts for one call of Database.transaction.
 */
export class Transaction {
  #db;
  #limits;
  #last;
  #began;
  #states = new Map();
  #now = Date.now();
  #place = 0;
  #nearest = Infinity;

  /**
   * @param {import('./database.js').Database} db
   * @param {{changes: number, bytes: number}} limits of the history of a store
   */
  constructor(db, limits) {
    this.#db = db;
    this.#limits = limits;
    this.#last = this.#began = db.last();
  }

  /** The stores that have changed. */
  get changed() {
    return [...this.#states.keys()].filter((store) => this.#states.get(store)?.changed);
  }

  /** The earliest deadline that was set, or Infinity. */
  get nearest() {
    return this.#nearest;
  }

  get last() {
    return this.#last;
  }

  /** A revision that no key ever had. */
  nextRevision() {
    return ++this.#last;
  }

  /** Begins the history of a store, after the history of an earlier store of its name. */
  createStore(store) {
    this.#states.set(store, { first: this.#last, count: 0, bytes: 0, changed: true });
  }

  /** Ends a store; its rows stay. */
  deleteStore(store) {
    this.#states.set(store, undefined);
    this.#db.states.removeSync(layout.storeKey(store));
  }

  /** Reports whether the store exists. */
  hasStore(store) {
    return this.#state(store) !== undefined;
  }

  /**
   * Reads a key. If the key has expired, it is removed first.
   * @returns {layout.Entry | undefined}
   */
  get(store, key) {
    const found = this.#db.entry(store, key);
    if (!found || !found.expires || found.expires > this.#now) return found;
    this.remove(store, key, 'EXPIRE', this.nextRevision(), found);
    return undefined;
  }

  /** Writes a key. ttl in milliseconds, whole; 0 for none. */
  put(store, key, value, ttl, revision) {
    this.#removeDeadline(store, key, this.#db.entry(store, key));
    // The present millisecond has begun already: one more keeps the key from expiring early.
    const expires = ttl > 0 ? this.#now + 1 + ttl : 0;
    this.#db.entries.putSync(layout.entryKey(store, key), layout.entry({ revision, expires, value }));
    if (expires) {
      this.#db.deadlines.putSync(layout.deadlineKey(expires, store, key), nothing);
      this.#nearest = Math.min(this.#nearest, expires);
    }
    this.#record(store, revision, { kind: 'PUT', key, value });
  }

  /** Removes a key that exists. @param {layout.Entry} found what it holds */
  remove(store, key, kind, revision, found) {
    this.#removeDeadline(store, key, found);
    this.#db.entries.removeSync(layout.entryKey(store, key));
    this.#record(store, revision, { kind, key, value: nothing });
  }

  #removeDeadline(store, key, found) {
    if (found?.expires) this.#db.deadlines.removeSync(layout.deadlineKey(found.expires, store, key));
  }

  /** Removes expired keys, at most the given number. */
  removeExpired(limit) {
    const due = [...this.#db.deadlines.getRange({ end: layout.number(this.#now + 1), limit, values: false })];
    for (const row of due) {
      const { expires, store, key } = layout.toDeadline(row);
      const found = this.#state(store) && this.#db.entry(store, key);
      if (found?.expires === expires) this.remove(store, key, 'EXPIRE', this.nextRevision(), found);
      else this.#db.deadlines.removeSync(row); // of a deleted store
    }
    return due.length;
  }

  #state(store) {
    if (!this.#states.has(store)) this.#states.set(store, this.#db.state(store));
    return this.#states.get(store);
  }

  #record(store, revision, change) {
    const state = this.#state(store);
    const row = layout.change(change);
    this.#db.changes.putSync(layout.changeKey(store, revision, this.#place++), row);
    state.changed = true;
    state.count++;
    state.bytes += row.length;
  }

  /** Writes the counters, and drops old changes. */
  finish() {
    if (this.#last !== this.#began) this.#db.setLast(this.#last);
    for (const store of this.changed) {
      const state = this.#states.get(store);
      this.#trim(store, state);
      this.#db.states.putSync(layout.storeKey(store), layout.state(state));
    }
  }

  // The changes of this transaction stay, so that the history is never empty.
  #trim(store, state) {
    const excess = () => state.count > this.#limits.changes || state.bytes > this.#limits.bytes;
    if (!excess()) return;
    const range = { start: layout.storeKey(store), end: layout.changeKey(store, this.#began + 1, 0) };
    const dropped = [];
    for (const { key, value } of this.#db.changes.getRange(range)) {
      if (!excess()) break;
      state.first = layout.revisionOfChange(key);
      state.count--;
      state.bytes -= value.length;
      dropped.push(key);
    }
    for (const key of dropped) this.#db.changes.removeSync(key);
  }
}
