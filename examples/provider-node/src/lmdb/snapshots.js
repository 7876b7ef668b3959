import { randomBytes } from 'node:crypto';
import { ProviderError } from '../errors.js';

const KEPT = 64;
const IDLE = 30_000; // milliseconds
const MAGIC = Buffer.from('page');
const HEAD = MAGIC.length + 8 + 4;

/**
 * The moments that the tokens of listings name. Each holds a read transaction,
 * which keeps LMDB from using old pages again: so they are few, and end when
 * nobody has asked for a page for a while.
 *
 * A token is a magic, a number of this process, the number of the snapshot, and
 * the last key of the page before.
 */
export class Snapshots {
  #process = randomBytes(8);
  #next = 1;
  #kept = new Map();

  /** @param {{store: number, revision: number, now: number, transaction: object}} moment */
  keep(moment) {
    const id = this.#next++;
    this.#kept.set(id, moment);
    for (const oldest of this.#kept.keys()) {
      if (this.#kept.size <= KEPT) break;
      this.#drop(oldest);
    }
    this.#touch(id, moment);
    return id;
  }

  /** @returns {Buffer} */
  token(id, lastKey) {
    const number = Buffer.alloc(4);
    number.writeUInt32BE(id);
    return Buffer.concat([MAGIC, this.#process, number, lastKey]);
  }

  /** @param {Buffer} token @param {number} store */
  find(token, store) {
    if (token.length <= HEAD || !token.subarray(0, MAGIC.length).equals(MAGIC)) throw foreign();
    const id = token.readUInt32BE(HEAD - 4);
    const own = token.subarray(MAGIC.length, MAGIC.length + 8).equals(this.#process);
    const moment = own ? this.#kept.get(id) : undefined;
    if (!moment) throw new ProviderError('COMPACTED', 'the snapshot of this listing is no longer kept; list anew');
    if (moment.store !== store) throw foreign();
    this.#touch(id, moment);
    return { id, moment, after: token.subarray(HEAD) };
  }

  close() {
    for (const id of [...this.#kept.keys()]) this.#drop(id);
  }

  #touch(id, moment) {
    clearTimeout(moment.timer);
    moment.timer = setTimeout(() => this.#drop(id), IDLE).unref();
  }

  #drop(id) {
    const moment = this.#kept.get(id);
    this.#kept.delete(id);
    clearTimeout(moment.timer);
    moment.transaction.done();
  }
}

const foreign = () =>
  new ProviderError('INVALID', 'the page token is not one that this store made; pass the token of a page unchanged');
