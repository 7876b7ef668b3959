import { CallContext } from '../call-context.js';
import { log } from '../log.js';
import { toDeadline } from './layout.js';

const AT_ONCE = 500; // keys in one transaction
const LONGEST = 1000; // milliseconds between two looks, for what other processes write

/** Removes keys whose time to live has ended, so that watches see it. */
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

  /** Sees to it that there is a look at that time. */
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
      if (this.#next() <= Date.now()) {
        await this.#writer.submit((tx) => tx.expire(AT_ONCE), 0, new CallContext());
      }
    } catch (e) {
      log.warn('removing expired keys failed; it is tried again', { error: e.message });
    }
    if (!this.#stopped) this.schedule(Math.min(this.#next(), Date.now() + LONGEST));
  }

  #next() {
    this.#db.fresh();
    const [first] = this.#db.deadlines.getRange({ limit: 1, values: false });
    return first ? toDeadline(first).expires : Infinity;
  }
}
