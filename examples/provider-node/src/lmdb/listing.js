import * as layout from './layout.js';
import { toBytes } from './operations.js';

const MAX_ENTRIES = 1000; // in a page
const MAX_BYTES = 4 << 20;

/**
 * Answers a KVList. All pages of a listing show the same state as the first page.
 * @param {import('./environment.js').Environment} env
 * @param {number} store
 * @param {object} request a message KVList
 * @returns {object} a message KVPage
 */
export function list(env, store, request) {
  return request.token.length === 0 ? firstPage(env, store, request) : laterPage(env, store, request);
}

function firstPage({ db, snapshots }, store, request) {
  const transaction = db.snapshot();
  const snapshot = { store, revision: db.last({ transaction }), now: Date.now(), transaction };
  const { entries, more } = page(db, snapshot, request, null);
  let token;
  if (more) token = snapshots.token(snapshots.keep(snapshot), entries.at(-1).key);
  else transaction.done();
  return { entries, token, revision: toBytes(snapshot.revision) };
}

function laterPage({ db, snapshots }, store, request) {
  const { id, snapshot, after } = snapshots.find(request.token, store);
  const { entries, more } = page(db, snapshot, request, after);
  const token = more ? snapshots.token(id, entries.at(-1).key) : undefined;
  return { entries, token, revision: toBytes(snapshot.revision) };
}

function page(db, { store, now, transaction }, { prefix, limit }, after) {
  const entries = [];
  let bytes = 0;
  for (const { key: row, value: stored } of db.entries.getRange(rangeOf(store, prefix, after, transaction))) {
    const { revision, expires, value } = layout.toEntry(stored);
    if (expires && expires <= now) continue;
    if (entries.length >= Math.min(limit, MAX_ENTRIES) || bytes >= MAX_BYTES) return { entries, more: true };
    entries.push({ key: layout.keyOfEntry(row), value, revision: toBytes(revision) });
    bytes += row.length + value.length;
  }
  return { entries, more: false };
}

function rangeOf(store, prefix, after, transaction) {
  const start = layout.entryKey(store, prefix);
  const end = layout.keyAfter(start);
  if (after === null) return { start, end, transaction };
  return { start: layout.entryKey(store, after), exclusiveStart: true, end, transaction };
}
