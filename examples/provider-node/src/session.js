import { randomBytes, timingSafeEqual } from 'node:crypto';
import { setImmediate as nextTurn } from 'node:timers/promises';
import { CallContext, ended } from './call-context.js';
import { executeCall } from './calls.js';
import { asProviderError, ProviderError, toMessage } from './errors.js';
import { log } from './log.js';

export const ATTACH_WITHIN = 30_000; // milliseconds

// The most handles that a host can have open in a session, and calls of Describe
// that can wait in it.
const MAX_HANDLES = 65_536;
const MAX_DESCRIBES = 16;

/**
 * When a session ends, its calls fail with CLOSED. The host did not close the
 * handles, so it gets UNAVAILABLE, and continues with another plugin process.
 */
function replaceClosed(reply) {
  const errors = [reply.error, ...(reply.kv_results?.results ?? []).map((result) => result.error)];
  for (const error of errors) {
    if (error?.code === 'CODE_CLOSED') Object.assign(error, { code: 'CODE_UNAVAILABLE', message: 'the plugin is ending' });
  }
  return reply;
}

/** One opening of a backend by a host: its handles, and the calls under way. */
export class Session {
  id;
  token = randomBytes(32);
  #provider;
  #closed;
  #endPlane = null;
  #unattached;
  #nextHandle = 1;
  /** The object of each handle, and the handle that it was opened from. */
  #handles = new Map();
  #calls = new Map();
  #running = new Set();
  #waits = new Set();
  #closing = null;

  /**
   * @param {number} id
   * @param {import('./lmdb/provider.js').Provider} provider belongs to the session
   * @param {() => void} closed is called once
   */
  constructor(id, provider, closed) {
    this.id = id;
    this.#provider = provider;
    this.#closed = closed;
    this.#handles.set(0, { target: provider, parent: null });
    this.#unattached = setTimeout(() => this.close(), ATTACH_WITHIN).unref();
  }

  get description() {
    return this.#provider.description;
  }

  /** The description never changes: a call with its generation waits for the end of the session; with another one it returns at once. */
  async describe(generation, ctx) {
    if (generation !== this.description.generation) return this.description;
    if (this.#waits.size >= MAX_DESCRIBES) throw new ProviderError('UNAVAILABLE', `${MAX_DESCRIBES} calls of Describe wait already; a host needs one`);
    this.#waits.add(ctx);
    try {
      return await new Promise((_, reject) => ctx.onEnd((code) => reject(ended(code))));
    } finally {
      this.#waits.delete(ctx);
    }
  }

  /**
   * Throws unless the token is the session's: numbers of sessions can be guessed.
   * @param {Buffer} token
   */
  checkToken(token) {
    if (token.length !== this.token.length || !timingSafeEqual(token, this.token)) {
      throw new ProviderError('PERMISSION_DENIED', 'the token does not belong to the session');
    }
  }

  /**
   * Throws unless the token is the session's and was not used before.
   * @param {Buffer} token
   * @param {() => void} end ends the data plane
   */
  attach(token, end) {
    this.checkToken(token);
    if (this.#endPlane || this.#closing) throw new ProviderError('CLOSED', 'the session is closed, or already has a data plane; open another one');
    this.#endPlane = end;
    clearTimeout(this.#unattached);
  }

  /**
   * Carries out a call.
   * @param {object} call a message Call
   * @returns {Promise<object>} a message Reply
   */
  call(call) {
    const running = this.#call(call);
    this.#running.add(running);
    running.finally(() => this.#running.delete(running));
    return running;
  }

  async #call(call) {
    const reply = await this.#reply(call);
    return this.#closing ? replaceClosed(reply) : reply;
  }

  async #reply(call) {
    const ctx = new CallContext(call.timeout_nanos);
    this.#calls.set(call.id, ctx);
    try {
      if (this.#closing) throw ended('CLOSED');
      return { id: call.id, ...(await executeCall(call, this, ctx)) };
    } catch (e) {
      if (asProviderError(e) !== e) log.error('a call failed with an unexpected error', { call: call.body, error: e.stack });
      return { id: call.id, error: toMessage(e) };
    } finally {
      this.#calls.delete(call.id);
    }
  }

  /** @param {number} id of a call that its caller canceled */
  cancel(id) {
    this.#calls.get(id)?.end('CANCELED');
  }

  /** @returns {number} a handle for an object that was opened from another one */
  add(target, parent = 0) {
    if (!this.#handles.has(parent)) {
      target.close?.();
      throw ended('CLOSED');
    }
    if (this.#handles.size > MAX_HANDLES) {
      target.close?.();
      throw new ProviderError('UNAVAILABLE', `the session has ${MAX_HANDLES} open handles, the most that it holds; close what is not used`);
    }
    const handle = this.#nextHandle++;
    this.#handles.set(handle, { target, parent });
    return handle;
  }

  get(handle) {
    const found = this.#handles.get(handle);
    if (!found) throw ended('CLOSED');
    return found.target;
  }

  /**
   * Closes a handle and all handles that were opened from it. It is no error if
   * there is none. A write that is under way on a store still completes.
   */
  closeHandle(handle) {
    const found = this.#handles.get(handle);
    if (!found) return;
    for (const [child, { parent }] of [...this.#handles]) {
      if (parent === handle) this.closeHandle(child);
    }
    this.#handles.delete(handle);
    found.target.close?.();
  }

  /** Ends all calls and closes all handles. It returns when that is done and the replies were written. */
  close() {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  async #close() {
    clearTimeout(this.#unattached);
    for (const ctx of [...this.#calls.values(), ...this.#waits]) ctx.end('CLOSED');
    for (const [handle, { target }] of this.#handles) {
      if (handle !== 0) target.close?.();
    }
    await Promise.all(this.#running);
    await nextTurn();
    this.#endPlane?.();
    this.#handles.clear();
    this.#closed();
    await this.#provider.close();
  }
}
