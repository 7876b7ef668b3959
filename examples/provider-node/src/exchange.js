import { toMessage, ProviderError } from './errors.js';
import { log } from './log.js';
import { Outbox } from './outbox.js';
import { ATTACH_WITHIN } from './session.js';

// The most calls of a host that are not answered. A host makes half as many.
const MAX_UNANSWERED = 131_072;

/**
 * The data plane of one session over one Exchange stream: it receives frames of
 * calls, and sends frames of replies.
 */
export class Exchange {
  #stream;
  #sessions;
  #session = null;
  #refused = false;
  #unanswered = 0;
  #unattached;
  #outbox;

  /**
   * @param {import('@grpc/grpc-js').ServerDuplexStream} stream
   * @param {Map<number, import('./session.js').Session>} sessions
   */
  constructor(stream, sessions) {
    this.#stream = stream;
    this.#sessions = sessions;
    this.#outbox = new Outbox(stream);
    this.#unattached = setTimeout(() => this.#refuse(new ProviderError('DEADLINE_EXCEEDED', 'no attach came in time')), ATTACH_WITHIN).unref();
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
    this.#unanswered += frame.calls.length;
    if (this.#unanswered > MAX_UNANSWERED) {
      return this.#refuse(new ProviderError('UNAVAILABLE', `more than ${MAX_UNANSWERED} calls are not answered`));
    }
    for (const call of frame.calls) this.#executeCall(call);
    for (const id of frame.cancels) this.#session.cancel(id);
  }

  #attach(attach) {
    if (!attach) throw new ProviderError('INVALID', 'the first frame has no Attach');
    const session = this.#sessions.get(attach.session);
    if (!session) throw new ProviderError('CLOSED', 'the session does not exist, or was closed; open another one');
    session.attach(attach.token, () => this.#stream.end());
    clearTimeout(this.#unattached);
    this.#session = session;
    this.#stream.write({ replies: [] });
  }

  #refuse(e) {
    clearTimeout(this.#unattached);
    this.#refused = true;
    this.#stream.write({ end: toMessage(e) });
    this.#stream.end();
  }

  async #executeCall(call) {
    const reply = await this.#session.call(call);
    this.#outbox.put(reply, () => this.#unanswered--);
  }

  #closeBroken() {
    clearTimeout(this.#unattached);
    this.#outbox.stop();
    this.#stream.end();
    this.#session?.close().catch((e) => log.error('closing a session failed', { error: e.message }));
  }
}
