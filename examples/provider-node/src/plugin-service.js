import { Metadata, status } from '@grpc/grpc-js';
import { CallContext, ended } from './call-context.js';
import { asProviderError, ProviderError, toMessage } from './errors.js';
import { Exchange } from './exchange.js';
import { Provider } from './lmdb/provider.js';
import { statusDetails } from './protocol.js';
import { Session } from './session.js';
import { parse } from './settings.js';

const grpcCodes = {
  NOT_FOUND: status.NOT_FOUND,
  UNAVAILABLE: status.UNAVAILABLE,
  UNSUPPORTED: status.UNIMPLEMENTED,
  INVALID: status.INVALID_ARGUMENT,
  PERMISSION_DENIED: status.PERMISSION_DENIED,
  DEADLINE_EXCEEDED: status.DEADLINE_EXCEEDED,
  CANCELED: status.CANCELLED,
  CLOSED: status.FAILED_PRECONDITION,
};

// The most sessions that hosts can have open.
const MAX_SESSIONS = 4096;

/** Implements PluginService of plugin.proto. */
export class PluginService {
  #sessions = new Map();
  #opening = 0;
  #nextSession = 1;
  #lifetimes = new Set();
  #url;
  #hostLost;

  /**
   * @param {string} url of the backend that the plugin was started for, or ''
   * @param {() => void} hostLost is called when a Lifetime has ended
   */
  constructor(url, hostLost) {
    this.#url = url;
    this.#hostLost = hostLost;
  }

  /** The functions for a gRPC server. */
  get methods() {
    return {
      Open: unary((request) => this.#open(request)),
      Describe: unary((request, ctx) => this.#describe(request, ctx)),
      Close: unary((request) => this.#close(request)),
      Lifetime: (stream) => this.#lifetime(stream),
      Exchange: (stream) => new Exchange(stream, this.#sessions),
    };
  }

  async #open({ url }) {
    if (this.#sessions.size + this.#opening >= MAX_SESSIONS) {
      throw new ProviderError('UNAVAILABLE', `the plugin has ${MAX_SESSIONS} sessions, the most that it holds; close providers that are not used`);
    }
    this.#opening++;
    try {
      return await this.#openSession(url);
    } finally {
      this.#opening--;
    }
  }

  async #openSession(url) {
    const provider = await Provider.open(parse(url || this.#url));
    const id = this.#nextSession++;
    const session = new Session(id, provider, () => this.#sessions.delete(id));
    this.#sessions.set(id, session);
    return { session: id, token: session.token, description: session.description };
  }

  async #describe({ session: id, token, generation }, ctx) {
    const session = this.#sessions.get(id);
    if (!session) throw ended('CLOSED');
    session.checkToken(token);
    return { description: await session.describe(generation, ctx) };
  }

  async #close({ session: id, token }) {
    const session = this.#sessions.get(id);
    session?.checkToken(token);
    await session?.close();
    return {};
  }

  #lifetime(stream) {
    this.#lifetimes.add(stream);
    stream.write({});
    stream.resume();
    for (const event of ['end', 'close', 'cancelled']) stream.on(event, () => this.#lifetimeEnded(stream));
  }

  #lifetimeEnded(stream) {
    if (this.#lifetimes.delete(stream)) this.#hostLost();
    stream.end();
  }

  /** Closes all sessions, and ends the hosts' Lifetime streams. */
  async close() {
    await Promise.all([...this.#sessions.values()].map((session) => session.close()));
    for (const stream of this.#lifetimes) stream.end();
  }
}

/** Converts a function that returns a promise to a handler of grpc-js. */
function unary(f) {
  return (call, callback) => {
    const ctx = new CallContext();
    call.on('cancelled', () => ctx.end('CANCELED'));
    f(call.request, ctx).then(
      (response) => callback(null, response),
      (e) => callback(toStatus(e)),
    );
  };
}

/** @returns {object} a gRPC status whose details hold the Error of the protocol */
function toStatus(e) {
  const error = toMessage(e);
  const code = grpcCodes[asProviderError(e).code] ?? status.INTERNAL;
  const metadata = new Metadata();
  metadata.set('grpc-status-details-bin', statusDetails(code, error));
  return { code, details: error.message, metadata };
}
