import { ProviderError } from './errors.js';
import { Provider } from './lmdb/provider.js';
import { Store } from './lmdb/store.js';
import { Watcher } from './lmdb/watcher.js';

/**
 * The functions of the calls of the protocol. A function gets the body of the
 * call, the object of its handle, the context and the session. It returns a Reply
 * without id. The session gives handles to the objects that a function opens.
 */
const onProvider = {
  async kv_open_store({ name }, provider, ctx, session) {
    return { handle: session.add(await provider.openStore(name, ctx)) };
  },
  async kv_stores({ prefix }, provider, ctx) {
    return { names: { names: provider.stores(prefix, ctx) } };
  },
  async kv_delete_store({ name }, provider, ctx) {
    await provider.deleteStore(name, ctx);
    return {};
  },
};

const onStore = {
  async kv_do({ ops }, store, ctx) {
    return { kv_results: { results: await store.do(ops, ctx) } };
  },
  async kv_txn(txn, store, ctx) {
    return { kv_txn_result: { revision: await store.txn(txn, ctx) } };
  },
  async kv_list(request, store, ctx) {
    return { kv_page: store.list(request, ctx) };
  },
  async kv_watch(request, store, ctx, session, handle) {
    return { handle: session.add(store.watch(request, ctx), handle) };
  },
};

const onWatcher = {
  async kv_next(_, watcher, ctx) {
    return { kv_events: { events: await watcher.next(ctx) } };
  },
};

const kinds = new Map([[Provider, onProvider], [Store, onStore], [Watcher, onWatcher]]);

/**
 * Carries out a call.
 * @param {object} call a message Call
 * @param {import('./session.js').Session} session
 * @param {import('./call-context.js').CallContext} ctx
 * @returns {Promise<object>} a message Reply, without id
 */
export async function executeCall(call, session, ctx) {
  if (call.body === 'close_handle') {
    session.closeHandle(call.handle);
    return {};
  }
  const target = session.get(call.handle);
  const f = kinds.get(target.constructor)?.[call.body];
  if (!f) throw unsupported(call);
  return f(call[call.body], target, ctx, session, call.handle);
}

function unsupported({ body, handle }) {
  if (!body) return new ProviderError('UNSUPPORTED', 'this plugin does not know this kind of call');
  return new ProviderError('UNSUPPORTED', `the plugin does not offer ${body} on the handle ${handle}`);
}
