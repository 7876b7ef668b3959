import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ProviderError } from '../src/errors.js';
import { Writer } from '../src/lmdb/writer.js';
import { forever, within } from './helpers.js';

/** A database whose commits end when the test says so. */
function slowDatabase() {
  const commits = [];
  return {
    commits,
    last: () => 0,
    async transaction(f) {
      const result = f();
      await new Promise((resolve, reject) => commits.push({ end: resolve, fail: reject }));
      return result;
    },
  };
}

const turn = () => new Promise((resolve) => setImmediate(resolve));
const refuses = (code) => (e) => e.code === code;
const make = (db) => new Writer(db, { changes: 10, bytes: 1000 }, () => {});

test('what waits during one commit is in the next', async () => {
  const db = slowDatabase();
  const writer = make(db);
  const done = [];
  const submit = (name) => writer.submit(() => name, 0, forever()).then((n) => done.push(n));
  submit('a');
  submit('b');
  await turn();
  for (const name of 'cdefg') submit(name);
  await turn();
  assert.deepEqual([db.commits.length, done], [1, []]);
  db.commits[0].end();
  await turn();
  assert.deepEqual([db.commits.length, done], [2, ['a', 'b']]);
  db.commits[1].end();
  await writer.idle();
  assert.deepEqual(done.join(''), 'abcdefg');
});

test('a caller that gives up before the commit has written nothing; one that gives up later has an unknown outcome', async () => {
  const db = slowDatabase();
  const writer = make(db);
  let [early, late] = [forever(), forever()];
  const handed = writer.submit(() => 'handed', 0, late);
  await turn();
  const waiting = writer.submit(() => assert.fail('carried out'), 0, early);
  const over = writer.submit(() => assert.fail('carried out'), 0, within(1));
  early.end('CANCELED');
  late.end('DEADLINE_EXCEEDED');
  await assert.rejects(waiting, refuses('CANCELED'));
  await assert.rejects(handed, refuses('UNKNOWN_OUTCOME'));
  await assert.rejects(over, refuses('DEADLINE_EXCEEDED'));
  db.commits[0].end();
  await writer.idle();
  assert.equal(db.commits.length, 1);
});

test('a write that is handed over when its handle is closed gets its answer', async () => {
  const db = slowDatabase();
  const writer = make(db);
  const ctx = forever();
  const handed = writer.submit(() => 'written', 0, ctx);
  await turn();
  ctx.end('CLOSED');
  db.commits[0].end();
  assert.equal(await handed, 'written');
});

test('a condition that does not hold fails only its own call', async () => {
  const db = slowDatabase();
  const writer = make(db);
  const conflict = writer.submit(() => { throw new ProviderError('CONFLICT', ''); }, 0, forever());
  const fine = writer.submit(() => 'fine', 0, forever());
  await turn();
  db.commits[0].end();
  await assert.rejects(conflict, refuses('CONFLICT'));
  assert.equal(await fine, 'fine');
});

test('an error of the database fails all of one transaction: before the commit nothing was written, in the commit the outcome is unknown', async () => {
  const db = slowDatabase();
  const writer = make(db);
  const fine = writer.submit(() => 'fine', 0, forever());
  const broken = writer.submit(() => { throw new Error('MDB_CORRUPTED'); }, 0, forever());
  await Promise.all([fine, broken].map((p) => assert.rejects(p, refuses('UNAVAILABLE'))));
  const unknown = writer.submit(() => 'fine', 0, forever());
  await turn();
  db.commits[0].fail(new Error('no space'));
  await assert.rejects(unknown, refuses('UNKNOWN_OUTCOME'));
  const after = writer.submit(() => 'after', 0, forever());
  await turn();
  db.commits[1].end();
  assert.equal(await after, 'after');
});
