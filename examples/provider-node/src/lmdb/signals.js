const POLL = 100; // milliseconds

/**
 * Wakes the watchers of a store. The writer of this process calls notify. Changes of
 * other processes are found by polling the last revision, while a watcher waits.
 */
export class Signals {
  #waiting = new Map();
  #lastRevision;
  #timer = null;
  #seen;

  /** @param {() => number} lastRevision of the folder, now */
  constructor(lastRevision) {
    this.#lastRevision = lastRevision;
  }

  /**
   * @param {number} store
   * @param {() => void} wake is called at the next change, once
   * @returns {() => void} removes it
   */
  wait(store, wake) {
    if (!this.#waiting.has(store)) this.#waiting.set(store, new Set());
    const wakers = this.#waiting.get(store);
    wakers.add(wake);
    this.#start();
    return () => {
      wakers.delete(wake);
      if (wakers.size === 0 && this.#waiting.get(store) === wakers) this.#waiting.delete(store);
      if (this.#waiting.size === 0) this.stop();
    };
  }

  /** @param {number} store */
  notify(store) {
    const wakers = this.#waiting.get(store);
    this.#waiting.delete(store);
    for (const wake of wakers ?? []) wake();
    if (this.#waiting.size === 0) this.stop();
  }

  stop() {
    clearInterval(this.#timer);
    this.#timer = null;
  }

  #start() {
    if (this.#timer !== null) return;
    this.#seen = undefined; // so that the first poll reports earlier changes too
    this.#timer = setInterval(() => this.#look(), POLL).unref();
  }

  #look() {
    const last = this.#lastRevision();
    if (last === this.#seen) return;
    this.#seen = last;
    for (const store of [...this.#waiting.keys()]) this.notify(store);
  }
}
