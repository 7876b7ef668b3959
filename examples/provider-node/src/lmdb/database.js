import { open as openLMDB } from 'lmdb';
import { ProviderError } from '../errors.js';
import * as layout from './layout.js';
import { sync } from './folder.js';

const FORMAT = 1;
const FORMAT_KEY = Buffer.from('format');
const LAST = Buffer.from('last');
const options = {
  noSubdir: false, // the path names a folder
  // A commit is acknowledged, and visible to readers, only when it is on the disk.
  overlappingSync: false,
  // Only Writer makes commits. With batches of its own, lmdb would make promises
  // whose failure is not handled, which ends the process.
  eventTurnBatching: false,
  maxDbs: 8,
  maxReaders: 512,
};
const binary = { encoding: 'binary', keyEncoding: 'binary' };

/**
 * The tables of one folder, with common reads. After fresh(), and until the next
 * await, reads show the present state. In a transaction they show the state of the
 * transaction.
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
   * Carries out a function as one transaction, which is rolled back if it throws.
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

  /** Makes the following reads show all earlier commits. */
  fresh() {
    this.#root.resetReadTxn();
  }

  /** Keeps the present state for later reads, until done(). */
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
