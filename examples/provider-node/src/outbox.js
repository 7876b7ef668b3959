// The approximate number of bytes in a frame. A larger reply has a frame of its own.
const FRAME = 4 << 20;

/**
 * Puts replies that are ready at the same time into one frame, and waits while the
 * host does not read.
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

  /**
   * @param {object} reply a message Reply
   * @param {() => void} sent is called when the stream has the reply
   */
  put(reply, sent = () => {}) {
    if (this.#stopped) return;
    this.#waiting.push({ reply, sent });
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
      const frame = this.#takeFrame();
      const more = this.#stream.write({ replies: frame.map(({ reply }) => reply) });
      for (const { sent } of frame) sent();
      if (!more) {
        this.#stream.once('drain', () => this.#send());
        return;
      }
    }
    this.#scheduled = false;
  }

  #takeFrame() {
    let [n, bytes] = [0, 0];
    while (n < this.#waiting.length && bytes < FRAME) bytes += sizeOf(this.#waiting[n++].reply);
    return this.#waiting.splice(0, n);
  }
}

/** The approximate size of a reply, which depends on its values. */
function sizeOf({ kv_results, kv_page, kv_events }) {
  const values = kv_results?.results ?? kv_page?.entries ?? kv_events?.events ?? [];
  return values.reduce((sum, { value }) => sum + 64 + (value?.length ?? 0), 64);
}
