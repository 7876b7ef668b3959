import { Database } from './database.js';
import { prepare } from './folder.js';
import { Purge } from './purge.js';
import { Signals } from './signals.js';
import { Snapshots } from './snapshots.js';
import { Sweeper } from './sweeper.js';
import { Writer } from './writer.js';

/** The data that all providers of this process on one folder share. */
export class Environment {
  /** Why writes do not survive a loss of power, or null. */
  volatile;
  db;
  writer;
  signals;
  snapshots = new Snapshots();
  purge;
  #sweeper;

  constructor(path, volatile, limits) {
    this.volatile = volatile;
    this.db = new Database(path);
    this.writer = new Writer(this.db, limits, (tx) => this.#committed(tx));
    this.signals = new Signals(() => (this.db.fresh(), this.db.last()));
    this.purge = new Purge(this.db, this.writer);
    this.#sweeper = new Sweeper(this.db, this.writer);
  }

  async begin() {
    await this.db.begin();
    this.#sweeper.schedule(Date.now());
    this.purge.start();
  }

  #committed(tx) {
    this.#sweeper.schedule(tx.nearest);
    for (const store of tx.changed) this.signals.notify(store);
  }

  async close() {
    this.#sweeper.stop();
    this.purge.stop();
    this.signals.stop();
    await this.writer.idle();
    this.snapshots.close();
    await this.db.close();
  }
}

/** By path: the environment, or the promise of its end. */
const shared = new Map();

/**
 * Opens a folder, or shares it if it is open already. The limits of the first open
 * apply.
 * @returns {Promise<{env: Environment, release: () => Promise<void>}>}
 */
export async function acquire(folder, limits) {
  const { path, volatile } = prepare(folder);
  while (shared.get(path)?.closing) await shared.get(path).closing;
  if (!shared.has(path)) shared.set(path, { users: 0, opening: openAt(path, volatile, limits) });
  const use = shared.get(path);
  use.users++;
  try {
    return { env: await use.opening, release: () => release(path, use) };
  } catch (e) {
    await release(path, use);
    throw e;
  }
}

async function openAt(path, volatile, limits) {
  const env = new Environment(path, volatile, limits);
  try {
    await env.begin();
  } catch (e) {
    await env.close();
    throw e;
  }
  return env;
}

async function release(path, use) {
  if (--use.users > 0) return;
  use.closing = use.opening.then((env) => env.close()).catch(() => {});
  await use.closing;
  shared.delete(path);
}
