import assert from 'node:assert/strict';
import { test } from 'node:test';
import { parse } from '../src/settings.js';

test('a URL names a folder and parameters', () => {
  assert.deepEqual(parse('lmdb:///var/lib/my%20data/?history=5'), { folder: '/var/lib/my data', history: 5, historyBytes: 268435456 });
});

const refused = {
  'lmdb://folder': /three slashes/,
  'lmdb://me:secret@host/x': /three slashes/,
  'lmdb:///': /names no folder/,
  'lmdb:x': /names no folder/,
  'redis:///x': /is not lmdb/,
  'not a url': /cannot be read/,
  'lmdb:///a%zz': /escape/,
  'lmdb:///a%00b': /names no folder/,
  'lmdb:///a?size=5': /unknown parameter "size"; accepted: history, history-bytes/,
  'lmdb:///a?history=5&history=6': /more than once/,
  'lmdb:///a?history=0': /at least 1/,
  'lmdb:///a?history=-1': /at least 1/,
  'lmdb:///a?history=x': /at least 1/,
};

for (const [url, message] of Object.entries(refused)) {
  test(`${url} is refused, with the fix and without credentials`, () => {
    assert.throws(() => parse(url), (e) => e.code === 'INVALID' && message.test(e.message) && !e.message.includes('secret'));
  });
}
