import { CallContext, ended } from '../call-context.js';
import { ProviderError, toMessage } from '../errors.js';
import * as layout from './layout.js';
import { list } from './listing.js';
import { applyTxn, notFound, toBytes, writeEach } from './operations.js';
import { Watcher } from './watcher.js';

const READ = 'KV_OP_KIND_GET';

/** A handle of a store. It goes on with a store that is made again under its name. */
export class Store {
  #env;
  #name;
  #id;

  /** @param {import('./environment.js').Environment} env @param {string} name @param {number} id */
  constructor(env, name, id) {
    this.#env = env;
    this.#name = name;
    this.#id = id;
  }

  /**
   * Answers a KVDo.
   * @param {object[]} ops messages KVOp
   * @param {CallContext} ctx
   * @returns {Promise<object[]>} messages KVResult
   */
  async do(ops, ctx) {
    ctx.check();
    const results = new Array(ops.length);
    const writes = [];
    this.#env.db.fresh();
    this.#checkOpen();
    ops.forEach((op, i) => {
      if (op.kind === READ) results[i] = this.#get(op.key);
      else writes.push(i);
    });
    if (writes.length > 0) await this.#write(ops, writes, results, ctx);
    return results;
  }

  #get(key) {
    const found = this.#env.db.entry(this.#id, key);
    if (!found || (found.expires && found.expires <= Date.now())) return { error: toMessage(notFound(key)) };
    return { value: found.value, revision: toBytes(found.revision) };
  }

  async #write(ops, writes, results, ctx) {
    const chosen = writes.map((i) => ops[i]);
    const limits = chosen.map((op) => new CallContext(op.timeout_nanos));
    let written;
    try {
      written = await this.#transact((tx) => this.#inTime(tx, chosen, limits), bytesOf(chosen), ctx);
    } catch (error) {
      written = chosen.map(() => ({ error }));
    }
    writes.forEach((i, n) => (results[i] = written[n].error ? { error: toMessage(written[n].error) } : written[n]));
  }

  /** Carries out the writes whose own time is not over. */
  #inTime(tx, ops, limits) {
    const late = limits.map((limit) => limit.code !== null);
    const done = writeEach(tx, this.#id, ops.filter((_, i) => !late[i]));
    return late.map((over) => (over ? { error: ended('DEADLINE_EXCEEDED') } : done.shift()));
  }

  /** Answers a KVTxn. @returns {Promise<Buffer>} the revision */
  txn(request, ctx) {
    return this.#transact((tx) => applyTxn(tx, this.#id, request), bytesOf(request.writes), ctx);
  }

  #transact(run, bytes, ctx) {
    const checked = (tx) => {
      if (!tx.hasStore(this.#id)) this.#findAgain();
      return run(tx);
    };
    return this.#env.writer.submit(checked, bytes, ctx);
  }

  /** Answers a KVList. @returns {object} a message KVPage */
  list(request, ctx) {
    ctx.check();
    if (request.limit < 1) throw new ProviderError('INVALID', 'the limit of a page is less than 1');
    this.#env.db.fresh();
    this.#checkOpen();
    return list(this.#env, this.#id, request);
  }

  /** @param {object} request a message KVWatch */
  watch(request, ctx) {
    ctx.check();
    this.#env.db.fresh();
    this.#checkOpen();
    return new Watcher(this.#env, this.#id, request);
  }

  #checkOpen() {
    if (!this.#env.db.state(this.#id)) this.#findAgain();
  }

  /** Finds the store that was made again after this one was deleted. */
  #findAgain() {
    const id = this.#env.db.meta.get(layout.nameKey(this.#name));
    if (!id) throw new ProviderError('UNAVAILABLE', `the store ${this.#name} was deleted; open it to make it again`);
    this.#id = layout.toNumber(id);
  }
}

const bytesOf = (ops) => ops.reduce((sum, op) => sum + op.key.length + op.value.length, 0);
