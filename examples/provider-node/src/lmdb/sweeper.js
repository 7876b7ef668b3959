import { CallContext } from '../call-context.js';
import { log } from '../log.js';
import { toDeadline } from './layout.js';

const MAX_KEYS = 500; // in one transaction
const MAX_PAUSE = 1000; // milliseconds; other processes may write deadlines

/** Removes expired keys, so that watches get the events. */
export class Sweeper {
  #db;
  #writer;
  #timer;
  #at = Infinity;
  #stopped = false;

  constructor(db, writer) {
    this.#db = db;
    this.#writer = writer;
  }

  /** Schedules a sweep at a time, unless one is scheduled before it. */
  schedule(at) {
    if (this.#stopped || at >= this.#at) return;
    this.#at = at;
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#sweep(), Math.max(0, at - Date.now())).unref();
  }

  stop() {
    this.#stopped = true;
    clearTimeout(this.#timer);
  }

  async #sweep() {
    this.#at = Infinity;
    try {
      if (this.#nextDeadline() <= Date.now()) {
        await this.#writer.submit((tx) => tx.removeExpired(MAX_KEYS), 0, new CallContext());
      }
    } catch (e) {
      log.warn('removing expired keys failed; it is retried', { error: e.message });
    }
    if (!this.#stopped) this.schedule(Math.min(this.#nextDeadline(), Date.now() + MAX_PAUSE));
  }

  #nextDeadline() {
    this.#db.fresh();
    const [first] = this.#db.deadlines.getRange({ limit: 1, values: false });
    return first ? toDeadline(first).expires : Infinity;
  }
}
