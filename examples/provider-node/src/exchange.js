import { toMessage, ProviderError } from './errors.js';
import { log } from './log.js';
import { Outbox } from './outbox.js';

/**
 * The data plane of one session over one Exchange stream: it receives frames of
 * calls, and sends frames of replies.
 */
export class Exchange {
  #stream;
  #sessions;
  #session = null;
  #refused = false;
  #outbox;

  /**
   * @param {import('@grpc/grpc-js').ServerDuplexStream} stream
   * @param {Map<number, import('./session.js').Session>} sessions
   */
  constructor(stream, sessions) {
    this.#stream = stream;
    this.#sessions = sessions;
    this.#outbox = new Outbox(stream);
    stream.on('data', (frame) => this.#receiveFrame(frame));
    stream.on('end', () => this.#closeBroken());
    stream.on('cancelled', () => this.#closeBroken());
    stream.on('error', () => this.#closeBroken());
  }

  #receiveFrame(frame) {
    if (this.#refused) return;
    try {
      if (this.#session === null) this.#attach(frame.attach);
    } catch (e) {
      return this.#refuse(e);
    }
    for (const call of frame.calls) this.#executeCall(call);
    for (const id of frame.cancels) this.#session.cancel(id);
  }

  #attach(attach) {
    if (!attach) throw new ProviderError('INVALID', 'the first frame has no Attach');
    const session = this.#sessions.get(attach.session);
    if (!session) throw new ProviderError('CLOSED', 'the session does not exist, or was closed; open another one');
    session.attach(attach.token, () => this.#stream.end());
    this.#session = session;
    this.#stream.write({ replies: [] });
  }

  #refuse(e) {
    this.#refused = true;
    this.#stream.write({ end: toMessage(e) });
    this.#stream.end();
  }

  async #executeCall(call) {
    this.#outbox.put(await this.#session.call(call));
  }

  #closeBroken() {
    this.#outbox.stop();
    this.#stream.end();
    this.#session?.close().catch((e) => log.error('closing a session failed', { error: e.message }));
  }
}
