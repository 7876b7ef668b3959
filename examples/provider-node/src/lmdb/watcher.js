import { setImmediate as nextTurn } from 'node:timers/promises';
import { ended } from '../call-context.js';
import { ProviderError } from '../errors.js';
import * as layout from './layout.js';
import { toBytes } from './operations.js';

// The most that one read of the history returns. The changes of one revision come
// together even if they exceed it.
const MAX_EVENTS = 1000;
const MAX_BYTES = 4 << 20;
const MAX_SKIPPED = 20_000; // changes of keys without the prefix

const compacted = () =>
  new ProviderError('COMPACTED', "the changes after this revision are no longer kept; list the store, and watch from the page's revision");

/** Reads the changes of a store from a revision on. */
export class Watcher {
  #env;
  #store;
  #prefix;
  #after;
  #end = null;
  #wake = () => {};

  /**
   * @param {import('./environment.js').Environment} env
   * @param {number} store
   * @param {object} request a message KVWatch
   */
  constructor(env, store, { prefix, after }) {
    this.#env = env;
    this.#store = store;
    this.#prefix = Buffer.from(prefix);
    env.db.fresh();
    const last = env.db.last();
    this.#after = after.length === 0 ? last : parse(after, last);
    this.#checkPosition();
  }

  /**
   * @param {import('../call-context.js').CallContext} ctx
   * @returns {Promise<object[]>} messages KVEvent, at least one
   */
  async next(ctx) {
    for (;;) {
      ctx.check();
      if (this.#end) throw this.#end;
      const { events, more } = this.#nextEvents();
      if (events.length > 0) return events;
      await (more ? nextTurn() : this.#changed(ctx));
    }
  }

  close() {
    this.#end ??= ended('CLOSED');
    this.#wake();
  }

  /** Waits until the store may have changed. */
  #changed(ctx) {
    return new Promise((resolve) => {
      const offSignal = this.#env.signals.wait(this.#store, () => this.#wake());
      const offEnd = ctx.onEnd(() => this.#wake());
      this.#wake = () => {
        offSignal();
        offEnd();
        this.#wake = () => {};
        resolve();
      };
      if (ctx.code !== null) this.#wake();
    });
  }

  #checkPosition() {
    const state = this.#env.db.state(this.#store);
    if (!state) throw new ProviderError('COMPACTED', 'the store was deleted; list the store that is made again, and watch from the page\'s revision');
    if (this.#after < state.first) throw compacted();
  }

  /** Returns the events since the last call, and advances the position. */
  #nextEvents() {
    this.#env.db.fresh();
    try {
      this.#checkPosition();
    } catch (e) {
      this.#end = e;
      throw e;
    }
    return this.#read();
  }

  #read() {
    const events = [];
    let [bytes, skipped] = [0, 0];
    for (const { key: row, value } of this.#env.db.changes.getRange(this.#range())) {
      const revision = layout.revisionOfChange(row);
      const full = events.length >= MAX_EVENTS || bytes >= MAX_BYTES || skipped >= MAX_SKIPPED;
      if (full && revision !== this.#after) return { events, more: true };
      this.#after = revision;
      skipped++;
      const change = layout.toChange(value);
      if (!startsWith(change.key, this.#prefix)) continue;
      events.push(toEvent(change, revision));
      bytes += value.length;
    }
    return { events, more: false };
  }

  #range() {
    return { start: layout.changeKey(this.#store, this.#after + 1, 0), end: layout.keyAfter(layout.storeKey(this.#store)) };
  }
}

const toEvent = ({ kind, key, value }, revision) => ({
  kind: `KV_EVENT_KIND_${kind}`,
  key,
  value,
  revision: toBytes(revision),
});

const startsWith = (key, prefix) => key.subarray(0, prefix.length).equals(prefix);

/** @param {Buffer} after @param {number} last the last revision of the folder */
function parse(after, last) {
  const text = after.toString('latin1');
  const n = /^(0|[1-9][0-9]{0,14})$/.test(text) ? Number(text) : NaN;
  if (!(n <= last)) {
    throw new ProviderError('INVALID', `${JSON.stringify(text.slice(0, 40))} is not a revision of this store; pass a revision that it returned`);
  }
  return n;
}
