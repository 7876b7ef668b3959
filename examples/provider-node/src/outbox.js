// About how many bytes go in one frame. A greater reply has a frame of its own.
const FRAME = 4 << 20;

/**
 * Gathers replies that are ready at the same time into frames, and waits while
 * the host does not read.
 */
export class Outbox {
  #stream;
  #waiting = [];
  #scheduled = false;
  #stopped = false;

  /** @param {import('node:stream').Writable} stream of messages ExchangeResponse */
  constructor(stream) {
    this.#stream = stream;
  }

  /** @param {object} reply a message Reply */
  put(reply) {
    if (this.#stopped) return;
    this.#waiting.push(reply);
    if (this.#scheduled) return;
    this.#scheduled = true;
    setImmediate(() => this.#send());
  }

  stop() {
    this.#stopped = true;
    this.#waiting = [];
  }

  #send() {
    while (this.#waiting.length > 0) {
      if (!this.#stream.write({ replies: this.#take() })) {
        this.#stream.once('drain', () => this.#send());
        return;
      }
    }
    this.#scheduled = false;
  }

  #take() {
    let [n, bytes] = [0, 0];
    while (n < this.#waiting.length && bytes < FRAME) bytes += sizeOf(this.#waiting[n++]);
    return this.#waiting.splice(0, n);
  }
}

/** About how long a reply is: what is long in it are its values. */
function sizeOf({ kv_results, kv_page, kv_events }) {
  const values = kv_results?.results ?? kv_page?.entries ?? kv_events?.events ?? [];
  return values.reduce((sum, { value }) => sum + 64 + (value?.length ?? 0), 64);
}
