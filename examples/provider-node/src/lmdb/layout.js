// The layout of the data in LMDB. Numbers are big-endian, so that the order of the
// bytes is the order of the numbers. Revisions and times in milliseconds have 48
// bits.
//
//   meta       "format" | "last" | "next-store" → number
//              "store/" NAME → store             "garbage/" store → nothing
//   states     store → first, count, bytes of its changes
//   entries    store key → revision, expires, value
//   deadlines  expires store key → nothing
//   changes    store revision place → kind, length of the key, key, value

const WIDE = 6;
const STORE = 4;

/** @param {number} n @returns {Buffer} */
export function number(n) {
  const b = Buffer.allocUnsafe(WIDE);
  b.writeUIntBE(n, 0, WIDE);
  return b;
}

/** @param {Buffer | undefined} b @returns {number} 0 for undefined */
export const toNumber = (b) => (b === undefined ? 0 : b.readUIntBE(0, WIDE));

/** @param {number} store @returns {Buffer} */
export function storeKey(store) {
  const b = Buffer.allocUnsafe(STORE);
  b.writeUInt32BE(store);
  return b;
}

export const nameKey = (name) => Buffer.from(`store/${name}`);
export const garbageKey = (store) => Buffer.from(`garbage/${store}`);

/** @param {number} store @param {Buffer} key */
export const entryKey = (store, key) => Buffer.concat([storeKey(store), key]);

/** @param {Buffer} b a key of entries @returns {Buffer} the key in its store */
export const keyOfEntry = (b) => b.subarray(STORE);

/** @typedef {{revision: number, expires: number, value: Buffer}} Entry expires: 0 for never */

/** @param {Entry} e */
export function entry({ revision, expires, value }) {
  const b = Buffer.allocUnsafe(2 * WIDE + value.length);
  b.writeUIntBE(revision, 0, WIDE);
  b.writeUIntBE(expires, WIDE, WIDE);
  value.copy(b, 2 * WIDE);
  return b;
}

/** @param {Buffer} b @returns {Entry} */
export const toEntry = (b) => ({
  revision: b.readUIntBE(0, WIDE),
  expires: b.readUIntBE(WIDE, WIDE),
  value: b.subarray(2 * WIDE),
});

export const deadlineKey = (expires, store, key) => Buffer.concat([number(expires), storeKey(store), key]);

/** @param {Buffer} b a key of deadlines */
export const toDeadline = (b) => ({
  expires: toNumber(b),
  store: b.readUInt32BE(WIDE),
  key: b.subarray(WIDE + STORE),
});

/** The key of a change; place distinguishes the changes of one revision. */
export function changeKey(store, revision, place) {
  const b = Buffer.allocUnsafe(STORE + WIDE + 4);
  b.writeUInt32BE(store);
  b.writeUIntBE(revision, STORE, WIDE);
  b.writeUInt32BE(place, STORE + WIDE);
  return b;
}

export const revisionOfChange = (b) => b.readUIntBE(STORE, WIDE);

const kinds = ['', 'PUT', 'DELETE', 'EXPIRE'];

/** @typedef {{kind: 'PUT'|'DELETE'|'EXPIRE', key: Buffer, value: Buffer}} Change */

/** @param {Change} c */
export function change({ kind, key, value }) {
  const head = Buffer.allocUnsafe(3);
  head.writeUInt8(kinds.indexOf(kind));
  head.writeUInt16BE(key.length, 1);
  return Buffer.concat([head, key, value]);
}

/** @param {Buffer} b @returns {Change} */
export function toChange(b) {
  const end = 3 + b.readUInt16BE(1);
  return { kind: kinds[b[0]], key: b.subarray(3, end), value: b.subarray(end) };
}

/**
 * The changes of a store that are kept: their number, their bytes, and the revision
 * of the last change that was dropped.
 * @typedef {{first: number, count: number, bytes: number}} State
 */

/** @param {State} s */
export const state = ({ first, count, bytes }) => Buffer.concat([number(first), number(count), number(bytes)]);

/** @param {Buffer} b @returns {State} */
export const toState = (b) => ({
  first: toNumber(b),
  count: b.readUIntBE(WIDE, WIDE),
  bytes: b.readUIntBE(2 * WIDE, WIDE),
});

/**
 * @param {Buffer} prefix
 * @returns {Buffer} the lowest key after all keys that start with the prefix.
 *   The prefix must have a byte other than 0xff, as every prefix with a store has.
 */
export function keyAfter(prefix) {
  let n = prefix.length;
  while (prefix[n - 1] === 0xff) n--;
  const b = Buffer.from(prefix.subarray(0, n));
  b[n - 1]++;
  return b;
}
