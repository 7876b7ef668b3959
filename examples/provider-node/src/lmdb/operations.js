import { asProviderError, ProviderError } from '../errors.js';
import { limits } from './description.js';

/** @param {number} revision @returns {Buffer} as the protocol carries it */
export const toBytes = (revision) => Buffer.from(String(revision));

/** @param {Buffer} key as a message shows it */
const shown = (key) => JSON.stringify(key.length > 64 ? `${key.subarray(0, 64)}…` : key.toString());

const conflict = (key, what) => new ProviderError('CONFLICT', `key ${shown(key)} ${what}`);

export const notFound = (key) => new ProviderError('NOT_FOUND', `no key ${shown(key)}`);

/**
 * Throws unless a key has the revision; an empty one means that it does not
 * exist.
 */
function demand(found, key, revision) {
  if (revision.length === 0) {
    if (found) throw conflict(key, 'exists');
  } else if (!found) {
    throw conflict(key, 'does not exist');
  } else if (!toBytes(found.revision).equals(revision)) {
    throw conflict(key, 'has another revision');
  }
}

const none = Buffer.alloc(0);

/** Times to live are kept in whole milliseconds, rounded up. */
const milliseconds = (nanos) => Math.ceil(nanos / 1e6);

const writes = {
  KV_OP_KIND_PUT: () => {},
  KV_OP_KIND_CREATE: (found, op) => demand(found, op.key, none),
  KV_OP_KIND_CAS: (found, op) => demand(found, op.key, op.revision),
  KV_OP_KIND_DELETE: () => {},
  KV_OP_KIND_DELETE_IF: (found, op) => demand(found, op.key, op.revision),
};

const removes = (op) => op.kind === 'KV_OP_KIND_DELETE' || op.kind === 'KV_OP_KIND_DELETE_IF';

const tooLong = (what, length, limit) => new ProviderError('TOO_LARGE', `the ${what} has ${length} bytes; the limit is ${limit}`);

/** Refuses operations that no correct host sends: LMDB would fail, and the other writes of the commit with it. */
function check({ kind, key, value }, kinds = writes) {
  if (!(kind in kinds)) throw new ProviderError('UNSUPPORTED', `an operation of the kind ${kind} is not known here`);
  if (key.length === 0) throw new ProviderError('INVALID', 'the key is empty');
  if (key.length > limits.max_key_bytes) throw tooLong('key', key.length, limits.max_key_bytes);
  if (value.length > limits.max_value_bytes) throw tooLong('value', value.length, limits.max_value_bytes);
}

function change(tx, store, op, found, revision) {
  if (!removes(op)) tx.put(store, op.key, op.value, milliseconds(op.ttl_nanos), revision());
  else if (found) tx.remove(store, op.key, 'DELETE', revision(), found);
}

/**
 * Carries out one write in a transaction.
 * @param {import('./transaction.js').Transaction} tx
 * @param {number} store
 * @param {object} op a message KVOp
 * @returns {object} a message KVResult
 */
export function write(tx, store, op) {
  check(op);
  let written = none;
  const found = tx.get(store, op.key);
  writes[op.kind](found, op);
  change(tx, store, op, found, () => {
    const revision = tx.nextRevision();
    written = removes(op) ? none : toBytes(revision);
    return revision;
  });
  return { revision: written };
}

/**
 * Carries out independent writes. A condition that does not hold fails only its
 * own write.
 * @returns {object[]} messages KVResult; errors are thrown objects under error
 */
export function writeEach(tx, store, ops) {
  return ops.map((op) => {
    try {
      return write(tx, store, op);
    } catch (e) {
      if (!(e instanceof ProviderError)) throw e; // an error of LMDB: the whole transaction is rolled back
      return { error: asProviderError(e) };
    }
  });
}

/**
 * Applies all writes if all conditions hold.
 * @param {object} txn a message KVTxn
 * @returns {Buffer} the revision of the written keys
 */
export function applyTxn(tx, store, { conditions, writes: ops }) {
  for (const op of ops) check(op, { KV_OP_KIND_PUT: 1, KV_OP_KIND_DELETE: 1 });
  const read = new Map();
  for (const { key } of [...conditions, ...ops]) read.set(key.toString('latin1'), tx.get(store, key));
  const found = (key) => read.get(key.toString('latin1'));
  for (const { key, revision } of conditions) demand(found(key), key, revision);
  let shared;
  for (const op of ops) change(tx, store, op, found(op.key), () => (shared ??= tx.nextRevision()));
  return toBytes(shared ?? tx.last);
}
