import { describe } from './description.js';
import { acquire } from './environment.js';
import * as layout from './layout.js';
import { Store } from './store.js';

const NEXT_STORE = Buffer.from('next-store');
const NAMES = layout.nameKey('');

/** One provider on a folder. */
export class Provider {
  #env;
  #release;
  #closing = null;
  description;

  /** @param {{folder: string, history: number, historyBytes: number}} settings */
  static async open(settings) {
    const { env, release } = await acquire(settings.folder, { changes: settings.history, bytes: settings.historyBytes });
    return new Provider(env, release, describe(settings.folder, env.volatile));
  }

  constructor(env, release, description) {
    this.#env = env;
    this.#release = release;
    this.description = description;
  }

  /** @returns {Promise<Store>} of the name; it is created if it does not exist */
  async openStore(name, ctx) {
    ctx.check();
    this.#env.db.fresh();
    const known = this.#env.db.meta.get(layout.nameKey(name));
    const id = known ? layout.toNumber(known) : await this.#env.writer.submit((tx) => this.#create(name, tx), 0, ctx);
    return new Store(this.#env, name, id);
  }

  #create(name, tx) {
    const { meta } = this.#env.db;
    const known = meta.get(layout.nameKey(name));
    if (known) return layout.toNumber(known);
    const id = layout.toNumber(meta.get(NEXT_STORE)) + 1;
    meta.putSync(NEXT_STORE, layout.number(id));
    meta.putSync(layout.nameKey(name), layout.number(id));
    tx.createStore(id);
    return id;
  }

  /** @returns {string[]} the names of the stores that start with the prefix */
  stores(prefix, ctx) {
    ctx.check();
    this.#env.db.fresh();
    const start = layout.nameKey(prefix);
    const rows = this.#env.db.meta.getRange({ start, end: layout.keyAfter(start), values: false });
    return [...rows].map((row) => row.subarray(NAMES.length).toString());
  }

  /** Removes a store; its rows are removed in the background. */
  async deleteStore(name, ctx) {
    const id = await this.#env.writer.submit((tx) => this.#forget(name, tx), 0, ctx);
    if (id === undefined) return;
    this.#env.signals.notify(id);
    this.#env.purge.start();
  }

  #forget(name, tx) {
    const { meta } = this.#env.db;
    const key = layout.nameKey(name);
    const found = meta.get(key);
    if (!found) return undefined;
    const id = layout.toNumber(found);
    meta.putSync(layout.garbageKey(id), Buffer.alloc(0));
    meta.removeSync(key);
    tx.deleteStore(id);
    return id;
  }

  close() {
    this.#closing ??= this.#release();
    return this.#closing;
  }
}
