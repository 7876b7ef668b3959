import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { CallContext } from '../src/call-context.js';
import { Provider } from '../src/lmdb/provider.js';

/** A new folder, which is removed when the test has ended. */
export function folder(t) {
  const made = fs.mkdtempSync(path.join(os.tmpdir(), 'lmdb-test-'));
  t.after(() => fs.rmSync(made, { recursive: true, force: true }));
  return made;
}

/** Opens a provider, which is closed when the test has ended. */
export async function open(t, at, settings = {}) {
  const provider = await Provider.open({ folder: at, history: 1000, historyBytes: 1 << 20, ...settings });
  t.after(() => provider.close());
  return provider;
}

/** A call without a time limit. */
export const forever = () => new CallContext();

/** A call with a time limit in milliseconds. */
export const within = (milliseconds) => new CallContext(milliseconds * 1e6);

const op = (kind, key, more) => ({
  kind: `KV_OP_KIND_${kind}`,
  key: Buffer.from(key),
  value: Buffer.alloc(0),
  revision: Buffer.alloc(0),
  ttl_nanos: 0,
  timeout_nanos: 0,
  ...more,
});

export const get = (key) => op('GET', key);
export const put = (key, value, more) => op('PUT', key, { value: Buffer.from(value), ...more });
export const create = (key, value) => op('CREATE', key, { value: Buffer.from(value) });
export const cas = (key, value, revision) => op('CAS', key, { value: Buffer.from(value), revision });
export const remove = (key) => op('DELETE', key);

/** Carries out one operation, and throws its error as its code. */
export async function one(store, operation, ctx = forever()) {
  const [result] = await store.do([operation], ctx);
  if (result.error) throw new Error(result.error.code);
  return result;
}

/** The value of a key as text, or the code of the error. */
export async function read(store, key) {
  const [{ value, error }] = await store.do([get(key)], forever());
  return error ? error.code : value.toString();
}

export const watchOf = (store, after = '', prefix = '') =>
  store.watch({ prefix: Buffer.from(prefix), after: Buffer.from(after) }, forever());

/** Events as text: 'PUT k=v'. */
export const shown = (events) =>
  events.map(({ kind, key, value }) => {
    const what = kind.replace('KV_EVENT_KIND_', '');
    return what === 'PUT' ? `PUT ${key}=${value}` : `${what} ${key}`;
  });

/** Waits until f returns a true value. */
export async function eventually(f, what, milliseconds = 10_000) {
  for (const end = Date.now() + milliseconds; !(await f()); ) {
    if (Date.now() > end) throw new Error(`not within ${milliseconds} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
