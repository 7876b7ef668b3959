import { randomBytes } from 'node:crypto';
import { ProviderError } from '../errors.js';

const KEPT = 64;
const IDLE = 30_000; // milliseconds
const MAGIC = Buffer.from('page');
const HEAD = MAGIC.length + 8 + 4;

/**
 * The snapshots that page tokens name. Each holds a read transaction, which keeps
 * LMDB from reusing old pages. So there are only a few, and a snapshot ends if no
 * page was read for IDLE.
 *
 * A page token is a magic number, a number of this process, the number of the
 * snapshot, and the last key of the page before.
 */
export class Snapshots {
  #process = randomBytes(8);
  #next = 1;
  #kept = new Map();

  /** @param {{store: number, revision: number, now: number, transaction: object}} snapshot */
  keep(snapshot) {
    const id = this.#next++;
    this.#kept.set(id, snapshot);
    for (const oldest of this.#kept.keys()) {
      if (this.#kept.size <= KEPT) break;
      this.#drop(oldest);
    }
    this.#touch(id, snapshot);
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
    const snapshot = own ? this.#kept.get(id) : undefined;
    if (!snapshot) throw new ProviderError('COMPACTED', 'the snapshot of this listing is no longer kept; start the listing again');
    if (snapshot.store !== store) throw foreign();
    this.#touch(id, snapshot);
    return { id, snapshot, after: token.subarray(HEAD) };
  }

  close() {
    for (const id of [...this.#kept.keys()]) this.#drop(id);
  }

  #touch(id, snapshot) {
    clearTimeout(snapshot.timer);
    snapshot.timer = setTimeout(() => this.#drop(id), IDLE).unref();
  }

  #drop(id) {
    const snapshot = this.#kept.get(id);
    this.#kept.delete(id);
    clearTimeout(snapshot.timer);
    snapshot.transaction.done();
  }
}

const foreign = () =>
  new ProviderError('INVALID', 'the page token is not one that this store made; pass the token of a page unchanged');
