import { ended } from '../call-context.js';
import { ProviderError } from '../errors.js';
import { Transaction } from './transaction.js';

// The limits of one commit.
const MAX_JOBS = 256;
const MAX_BYTES = 16 << 20;

/** @typedef {{run: (tx: Transaction) => any, bytes: number, handed: boolean, resolve: Function, reject: Function}} Job */

/**
 * Commits the writes of concurrent calls together: the writes that arrive during
 * one commit are in the next one. A single writer does not wait for others.
 */
export class Writer {
  #db;
  #limits;
  #committed;
  /** @type {Job[]} */
  #waiting = [];
  #running = null;

  /**
   * @param {import('./database.js').Database} db
   * @param {{changes: number, bytes: number}} limits of the history of a store
   * @param {(tx: Transaction) => void} committed is called after every commit
   */
  constructor(db, limits, committed) {
    this.#db = db;
    this.#limits = limits;
    this.#committed = committed;
  }

  /**
   * Carries out a function in a transaction.
   * @param {(tx: Transaction) => any} run not asynchronous; throws a
   *   ProviderError only before its first change
   * @param {number} bytes the approximate size of its writes
   * @param {import('../call-context.js').CallContext} ctx
   * @returns {Promise<any>} its result, when the commit is on the disk
   */
  submit(run, bytes, ctx) {
    return new Promise((resolve, reject) => {
      const job = { run, bytes, handed: false };
      const off = ctx.onEnd((code) => this.#abandon(job, code));
      job.resolve = (v) => (off(), resolve(v));
      job.reject = (e) => (off(), reject(e));
      if (ctx.code !== null) return job.reject(ended(ctx.code));
      this.#waiting.push(job);
      this.#running ??= this.#run();
    });
  }

  /** Returns when no write is under way. */
  async idle() {
    while (this.#running) await this.#running;
  }

  #abandon(job, code) {
    if (!job.handed) {
      this.#waiting = this.#waiting.filter((other) => other !== job);
      job.reject?.(ended(code));
    } else if (code !== 'CLOSED') {
      // The commit cannot be stopped. The call of close waits for it.
      job.reject(new ProviderError('UNKNOWN_OUTCOME', 'the deadline passed, or the caller canceled, before the write was on the disk'));
    }
  }

  async #run() {
    await null; // so that writes of the same turn join
    while (this.#waiting.length > 0) await this.#commit(this.#takeJobs());
    this.#running = null;
  }

  #takeJobs() {
    let bytes = 0;
    let n = 0;
    while (n < this.#waiting.length && n < MAX_JOBS && (n === 0 || bytes < MAX_BYTES)) bytes += this.#waiting[n++].bytes;
    return this.#waiting.splice(0, n);
  }

  /** @param {Job[]} jobs */
  async #commit(jobs) {
    let carriedOut = false;
    let tx;
    for (const job of jobs) job.handed = true;
    try {
      const settle = await this.#db.transaction(() => {
        tx = new Transaction(this.#db, this.#limits);
        const all = jobs.map((job) => attempt(job, tx));
        tx.finish();
        carriedOut = true;
        return all;
      });
      this.#committed(tx);
      for (const f of settle) f();
    } catch (e) {
      const code = carriedOut ? 'UNKNOWN_OUTCOME' : 'UNAVAILABLE';
      for (const job of jobs) job.reject(new ProviderError(code, `the transaction could not be committed: ${e.message}`));
    }
  }
}

/** @returns {() => void} reports the result of the job, after the commit */
function attempt(job, tx) {
  try {
    const result = job.run(tx);
    return () => job.resolve(result);
  } catch (e) {
    if (!(e instanceof ProviderError)) throw e;
    return () => job.reject(e);
  }
}
