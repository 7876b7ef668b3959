import { open as openLMDB } from 'lmdb';
import { ProviderError } from '../errors.js';
import * as layout from './layout.js';
import { sync } from './folder.js';

const FORMAT = 1;
const FORMAT_KEY = Buffer.from('format');
const LAST = Buffer.from('last');
const options = {
  noSubdir: false, // the path is that of a folder, whatever its name
  // A commit is seen by readers, and acknowledged, when it is on the disk, and
  // not before.
  overlappingSync: false,
  // Commits are made by Writer alone. With batches of its own lmdb would make
  // promises that nobody sees fail, which ends the process.
  eventTurnBatching: false,
  maxDbs: 8,
  maxReaders: 512,
};
const binary = { encoding: 'binary', keyEncoding: 'binary' };

/**
 * The tables of one folder, with the reads that everybody needs. Reads are of
 * the present moment after fresh() until the next await; in a transaction they
 * are of the transaction.
 */
export class Database {
  #root;

  /** @param {string} folder */
  constructor(folder) {
    this.#root = openLMDB({ ...binary, ...options, path: folder });
    for (const name of ['meta', 'states', 'entries', 'deadlines', 'changes']) {
      this[name] = this.#root.openDB({ ...binary, name });
    }
    sync(folder);
  }

  /** Sets a new folder up, and refuses one with another format. */
  async begin() {
    const format = await this.transaction(() => {
      const found = this.meta.get(FORMAT_KEY);
      if (found === undefined) this.meta.putSync(FORMAT_KEY, layout.number(FORMAT));
      return layout.toNumber(found ?? layout.number(FORMAT));
    });
    if (format !== FORMAT) {
      throw new ProviderError('INVALID', `the folder has the format ${format} of another version of this plugin; this one reads ${FORMAT}`);
    }
  }

  /**
   * Carries out a function as one transaction, which is undone if it throws.
   * @template T
   * @param {() => T} f may read and write; not asynchronous
   * @returns {Promise<T>} once it is on the disk
   */
  async transaction(f) {
    try {
      return await this.#root.childTransaction(f);
    } catch (e) {
      throw e.commitError ? await e.commitError.catch((cause) => cause) : e;
    }
  }

  /** Makes the reads that follow see all that was committed before. */
  fresh() {
    this.#root.resetReadTxn();
  }

  /** Fixes the present moment for later reads; done() gives it up. */
  snapshot() {
    this.fresh();
    return this.#root.useReadTransaction();
  }

  /** The last revision of the folder. */
  last(options) {
    return layout.toNumber(this.meta.get(LAST, options));
  }

  /** In a transaction. */
  setLast(revision) {
    this.meta.putSync(LAST, layout.number(revision));
  }

  /** @returns {layout.Entry | undefined} of a key, expired or not */
  entry(store, key, options) {
    const found = this.entries.get(layout.entryKey(store, key), options);
    return found && layout.toEntry(found);
  }

  /** @returns {layout.State | undefined} undefined if the store was deleted */
  state(store, options) {
    const found = this.states.get(layout.storeKey(store), options);
    return found && layout.toState(found);
  }

  close() {
    return this.#root.close();
  }
}
