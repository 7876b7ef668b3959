import { ProviderError } from './errors.js';

// The longest time that a timer of Node.js accepts.
const LONGEST_TIMER = 2 ** 31 - 1;

const reasons = {
  CANCELED: 'the caller canceled the call',
  DEADLINE_EXCEEDED: "the caller's deadline has passed",
  CLOSED: 'the handle, or the provider that it belongs to, is closed',
};

/** @param {'CANCELED'|'DEADLINE_EXCEEDED'|'CLOSED'} code */
export const ended = (code) => new ProviderError(code, reasons[code]);

/**
 * How long a call lasts: until its deadline, until its caller cancels it, or
 * until its handle is closed. A timer runs only while there is a listener.
 */
export class CallContext {
  #deadline;
  #code = null;
  #listeners = new Set();
  #timer;

  /** @param {number} timeoutNanos the time that is left; 0 for no limit */
  constructor(timeoutNanos = 0) {
    this.#deadline = timeoutNanos > 0 ? performance.now() + timeoutNanos / 1e6 : Infinity;
  }

  /** Why the call has ended, or null. */
  get code() {
    if (this.#code === null && performance.now() >= this.#deadline) this.end('DEADLINE_EXCEEDED');
    return this.#code;
  }

  /** Throws if the call has ended. */
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
   * Calls the listener when the call ends, unless it was removed before.
   * @param {(code: string) => void} listener
   * @returns {() => void} removes the listener
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
