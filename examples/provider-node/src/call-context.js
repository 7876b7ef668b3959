import { ProviderError } from './errors.js';

// What a timer of Node.js takes at most.
const LONGEST_TIMER = 2 ** 31 - 1;

const reasons = {
  CANCELED: 'the caller gave up',
  DEADLINE_EXCEEDED: "the caller's time is over",
  CLOSED: 'the handle, or what it was opened from, is closed',
};

/** @param {'CANCELED'|'DEADLINE_EXCEEDED'|'CLOSED'} code */
export const ended = (code) => new ProviderError(code, reasons[code]);

/**
 * How long a call goes on: until its time is over, its caller gives up, or what
 * it works on is closed. A timer runs only while somebody waits for the end.
 */
export class CallContext {
  #deadline;
  #code = null;
  #listeners = new Set();
  #timer;

  /** @param {number} timeoutNanos what is left; 0 for any time */
  constructor(timeoutNanos = 0) {
    this.#deadline = timeoutNanos > 0 ? performance.now() + timeoutNanos / 1e6 : Infinity;
  }

  /** Why the call is at its end, or null. */
  get code() {
    if (this.#code === null && performance.now() >= this.#deadline) this.end('DEADLINE_EXCEEDED');
    return this.#code;
  }

  /** Throws if the call is at its end. */
  check() {
    if (this.code !== null) throw ended(this.code);
  }

  /** @param {'CANCELED'|'DEADLINE_EXCEEDED'|'CLOSED'} code */
  end(code) {
    if (this.#code !== null) return;
    this.#code = code;
    clearTimeout(this.#timer);
    for (const listener of this.#listeners) listener(code);
    this.#listeners.clear();
  }

  /**
   * Calls the listener when the call ends, unless it was taken off before.
   * @param {(code: string) => void} listener
   * @returns {() => void} takes the listener off
   */
  onEnd(listener) {
    if (this.code !== null) {
      listener(this.code);
      return () => {};
    }
    this.#listeners.add(listener);
    this.#startTimer();
    return () => {
      this.#listeners.delete(listener);
      if (this.#listeners.size === 0) this.#stopTimer();
    };
  }

  #startTimer() {
    if (this.#timer !== undefined || this.#deadline === Infinity) return;
    const left = Math.min(Math.ceil(this.#deadline - performance.now()), LONGEST_TIMER);
    this.#timer = setTimeout(() => {
      this.#timer = undefined;
      if (this.code === null) this.#startTimer();
    }, left);
  }

  #stopTimer() {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }
}
