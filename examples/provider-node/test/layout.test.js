import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as layout from '../src/lmdb/layout.js';

const ascending = (rows) => rows.every((row, i) => i === 0 || Buffer.compare(rows[i - 1], row) < 0);

test('changes are ordered by store, revision and place', () => {
  const rows = [[1, 9, 9], [2, 1, 0], [2, 1, 1], [2, 255, 0], [2, 256, 0], [2, 2 ** 40, 3], [256, 1, 0]];
  assert.ok(ascending(rows.map(([store, revision, place]) => layout.changeKey(store, revision, place))));
});

test('deadlines are ordered by time', () => {
  const rows = [[1, 9, 'z'], [255, 1, 'a'], [256, 1, 'a'], [Date.now(), 1, 'a'], [2 ** 47, 1, 'a']];
  assert.ok(ascending(rows.map(([at, store, key]) => layout.deadlineKey(at, store, Buffer.from(key)))));
});

test('what is written is read', () => {
  const entry = { revision: 2 ** 40, expires: Date.now(), value: Buffer.from('\0v') };
  assert.deepEqual(layout.toEntry(layout.entry(entry)), entry);
  const change = { kind: 'EXPIRE', key: Buffer.from('k\0'), value: Buffer.alloc(0) };
  assert.deepEqual(layout.toChange(layout.change(change)), change);
  const state = { first: 7, count: 8, bytes: 2 ** 33 };
  assert.deepEqual(layout.toState(layout.state(state)), state);
  const deadline = { expires: 5, store: 6, key: Buffer.from('k') };
  assert.deepEqual(layout.toDeadline(layout.deadlineKey(5, 6, Buffer.from('k'))), deadline);
});

test('the end of a prefix is after all keys that start with it', () => {
  for (const prefix of [[0, 1], [0, 0xff], [1, 0xff, 0xff], [0, 0x61]].map((b) => Buffer.from(b))) {
    const end = layout.keyAfter(prefix);
    assert.ok(Buffer.compare(Buffer.concat([prefix, Buffer.alloc(9, 0xff)]), end) < 0, prefix.toString('hex'));
    assert.ok(!end.subarray(0, prefix.length).equals(prefix));
  }
});
