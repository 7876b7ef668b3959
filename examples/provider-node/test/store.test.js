import assert from 'node:assert/strict';
import fs from 'node:fs';
import path from 'node:path';
import { test } from 'node:test';
import { acquire } from '../src/lmdb/environment.js';
import { cas, create, eventually, folder, forever, get, one, open, put, read, remove, shown, watchOf, within } from './helpers.js';

const txn = (conditions, writes) => ({
  conditions: conditions.map(([key, revision]) => ({ key: Buffer.from(key), revision: Buffer.from(revision) })),
  writes,
});

const refuses = (code) => (e) => e.code === code || e.message === `CODE_${code}`;

test('a put is read, and its revision is a condition', async (t) => {
  const store = await (await open(t, folder(t))).openStore('s', forever());
  const { revision } = await one(store, put('k', 'v'));
  assert.equal(await read(store, 'k'), 'v');
  await assert.rejects(one(store, create('k', 'x')), refuses('CONFLICT'));
  const next = await one(store, cas('k', 'w', revision));
  await assert.rejects(one(store, cas('k', 'x', revision)), refuses('CONFLICT'));
  await assert.rejects(one(store, cas('k', 'x', Buffer.from(`0${next.revision}`))), refuses('CONFLICT'));
  assert.equal(await read(store, 'k'), 'w');
});

test('the operations of one call fail one by one', async (t) => {
  const store = await (await open(t, folder(t))).openStore('s', forever());
  await one(store, put('k', 'v'));
  const long = put('x'.repeat(1025), '');
  const results = await store.do([create('k', 'x'), put('l', '1'), get('k'), get('m'), long, remove('never')], forever());
  assert.deepEqual(results.map((r) => r.error?.code ?? 'OK'), ['CODE_CONFLICT', 'OK', 'OK', 'CODE_NOT_FOUND', 'CODE_TOO_LARGE', 'OK']);
  assert.equal(await read(store, 'l'), '1');
});

test('a transaction happens as a whole or not at all', async (t) => {
  const store = await (await open(t, folder(t))).openStore('s', forever());
  const { revision } = await one(store, put('a', '1'));
  await assert.rejects(store.txn(txn([['a', revision], ['b', '99']], [put('a', '2'), put('b', '2')]), forever()), refuses('CONFLICT'));
  assert.deepEqual([await read(store, 'a'), await read(store, 'b')], ['1', 'CODE_NOT_FOUND']);
  const shared = await store.txn(txn([['a', revision], ['b', '']], [put('b', '2'), remove('a')]), forever());
  assert.deepEqual([await read(store, 'a'), await read(store, 'b')], ['CODE_NOT_FOUND', '2']);
  assert.deepEqual((await one(store, get('b'))).revision, shared);
});

test('data, revisions and times to live survive the end of the process', async (t) => {
  const at = folder(t);
  const first = await open(t, at);
  const before = await first.openStore('s', forever());
  const { revision } = await one(before, put('k', 'v'));
  await one(before, put('short', 'v', { ttl_nanos: 1e6 }));
  await first.close();
  const store = await (await open(t, at)).openStore('s', forever());
  assert.deepEqual((await one(store, get('k'))).revision, revision);
  assert.ok(Number((await one(store, put('k', 'w'))).revision) > Number(revision));
  await eventually(async () => (await read(store, 'short')) === 'CODE_NOT_FOUND', 'the key expires');
});

test('a time to live ends with an event, not early, and once', async (t) => {
  const store = await (await open(t, folder(t))).openStore('s', forever());
  const watcher = watchOf(store);
  const began = Date.now();
  await one(store, put('k', 'v', { ttl_nanos: 50e6 }));
  await one(store, put('kept', 'v', { ttl_nanos: 50e6 }));
  await one(store, put('kept', 'w'));
  const events = [];
  while (!shown(events).includes('EXPIRE k')) events.push(...(await watcher.next(within(10_000))));
  assert.ok(Date.now() - began >= 50);
  await one(store, put('end', ''));
  events.push(...(await watcher.next(within(10_000))));
  assert.deepEqual(shown(events), ['PUT k=v', 'PUT kept=v', 'PUT kept=w', 'EXPIRE k', 'PUT end=']);
});

test('a write to a key that has expired and was not swept shows the expiry first', async (t) => {
  const store = await (await open(t, folder(t))).openStore('s', forever());
  const watcher = watchOf(store);
  await one(store, put('k', 'v', { ttl_nanos: 1e6 }));
  for (const end = performance.now() + 20; performance.now() < end; ); // so that no timer runs meanwhile
  await one(store, create('k', 'w'));
  const events = [];
  while (events.length < 3) events.push(...(await watcher.next(within(10_000))));
  assert.deepEqual(shown(events), ['PUT k=v', 'EXPIRE k', 'PUT k=w']);
});

test('a watch continues after a revision, and reports that the history is gone', async (t) => {
  const store = await (await open(t, folder(t), { history: 10 })).openStore('s', forever());
  const revisions = [];
  for (let i = 0; i < 30; i++) revisions.push((await one(store, put(`k${i}`, ''))).revision);
  assert.equal((await watchOf(store, revisions[19]).next(within(1000))).length, 10);
  assert.throws(() => watchOf(store, revisions[18]), refuses('COMPACTED'));
  for (const after of ['garbage', '-1', '01', '99999', '18446744073709551615']) {
    assert.throws(() => watchOf(store, after), refuses('INVALID'), after);
  }
});

test('a history is bounded in bytes too', async (t) => {
  const store = await (await open(t, folder(t), { historyBytes: 1 << 20 })).openStore('s', forever());
  const { revision } = await one(store, put('first', ''));
  for (let i = 0; i < 4; i++) await one(store, put('k', Buffer.alloc(1 << 19)));
  assert.throws(() => watchOf(store, revision), refuses('COMPACTED'));
});

test('a watcher that waits ends with its caller and with its handle, and loses nothing', async (t) => {
  const store = await (await open(t, folder(t))).openStore('s', forever());
  const watcher = watchOf(store);
  await assert.rejects(watcher.next(within(20)), refuses('DEADLINE_EXCEEDED'));
  const ctx = forever();
  const canceled = watcher.next(ctx);
  ctx.end('CANCELED');
  await assert.rejects(canceled, refuses('CANCELED'));
  await one(store, put('k', 'v'));
  assert.deepEqual(shown(await watcher.next(within(1000))), ['PUT k=v']);
  const waiting = watcher.next(forever());
  watcher.close();
  await assert.rejects(waiting, refuses('CLOSED'));
});

test('a replaced deadline is forgotten', async (t) => {
  const at = folder(t);
  const store = await (await open(t, at)).openStore('s', forever());
  for (let i = 0; i < 5; i++) await one(store, put('k', '', { ttl_nanos: 3600e9 + i * 1e9 }));
  const { env, release } = await acquire(at, {});
  env.db.fresh();
  assert.equal(env.db.deadlines.getKeysCount(), 1);
  await one(store, remove('k'));
  env.db.fresh();
  assert.equal(env.db.deadlines.getKeysCount(), 0);
  await release();
});

test('the pages of a listing show one moment', async (t) => {
  const provider = await open(t, folder(t));
  const store = await provider.openStore('s', forever());
  for (const key of ['a', 'b', 'c', 'd']) await one(store, put(key, '1'));
  const list = (token, of = store) => of.list({ prefix: Buffer.alloc(0), token, limit: 2 }, forever());
  const first = list(Buffer.alloc(0));
  await one(store, remove('c'));
  await one(store, put('d', '2'));
  await one(store, put('e', '2'));
  const second = list(first.token);
  assert.deepEqual([...first.entries, ...second.entries].map(({ key, value }) => `${key}=${value}`), ['a=1', 'b=1', 'c=1', 'd=1']);
  assert.equal(second.token, undefined);
  assert.throws(() => list(Buffer.from('garbage')), refuses('INVALID'));
  const other = await provider.openStore('other', forever());
  assert.throws(() => list(first.token, other), refuses('INVALID'));
  const foreign = Buffer.from(first.token);
  foreign[5] ^= 1; // of another process
  assert.throws(() => list(foreign), refuses('COMPACTED'));
});

test('few snapshots are kept', async (t) => {
  const store = await (await open(t, folder(t))).openStore('s', forever());
  for (const key of ['a', 'b']) await one(store, put(key, ''));
  const first = () => store.list({ prefix: Buffer.alloc(0), token: Buffer.alloc(0), limit: 1 }, forever()).token;
  const tokens = Array.from({ length: 65 }, first);
  assert.throws(() => store.list({ prefix: Buffer.alloc(0), token: tokens[0], limit: 1 }, forever()), refuses('COMPACTED'));
  assert.equal(store.list({ prefix: Buffer.alloc(0), token: tokens[1], limit: 1 }, forever()).entries.length, 1);
});

test('a deleted store is gone with its rows, and one of its name has no earlier revision', async (t) => {
  const at = folder(t);
  const provider = await open(t, at);
  const store = await provider.openStore('s', forever());
  const revisions = [];
  for (let i = 0; i < 20; i++) revisions.push((await one(store, put(`k${i}`, '', { ttl_nanos: 3600e9 }))).revision);
  const watcher = watchOf(store);
  const waiting = watcher.next(forever());
  await provider.deleteStore('s', forever());
  await assert.rejects(waiting, refuses('COMPACTED'));
  await assert.rejects(one(store, get('k1')), refuses('UNAVAILABLE'));
  await assert.rejects(one(store, put('k1', '')), refuses('UNAVAILABLE'));
  assert.deepEqual(provider.stores('', forever()), []);
  const { env, release } = await acquire(at, {});
  const rows = (table) => (env.db.fresh(), env.db[table].getKeysCount());
  await eventually(() => rows('entries') + rows('changes') + rows('deadlines') === 0, 'the rows are removed');
  await release();
  const again = await provider.openStore('s', forever());
  const { revision } = await one(again, put('k', ''));
  assert.ok(Number(revision) > Number(revisions.at(-1)));
  assert.throws(() => watchOf(again, revisions[0]), refuses('COMPACTED'));
  assert.deepEqual((await one(store, get('k'))).revision, revision); // an open handle goes on
  await one(store, put('k', 'by the old handle'));
  assert.equal((await one(again, get('k'))).value.toString(), 'by the old handle');
});

test('a folder that is none, or holds something else, is refused', async (t) => {
  const at = folder(t);
  fs.writeFileSync(path.join(at, 'file'), '');
  await assert.rejects(open(t, path.join(at, 'file')), refuses('INVALID'));
  await assert.rejects(open(t, path.join(at, 'file', 'below')), refuses('INVALID'));
  const other = path.join(at, 'other');
  fs.mkdirSync(other);
  fs.writeFileSync(path.join(other, 'data.mdb'), Buffer.alloc(20_000, 7)); // LMDB itself would end the process
  await assert.rejects(open(t, other), refuses('INVALID'));
});

test('two openings of a folder share it, and the last one closes it', async (t) => {
  const at = folder(t);
  const [one_, two] = [await open(t, at), await open(t, at)];
  const store = await one_.openStore('s', forever());
  const watcher = watchOf(await two.openStore('s', forever()));
  await one(store, put('k', 'v'));
  assert.deepEqual(shown(await watcher.next(within(1000))), ['PUT k=v']);
  await one_.close();
  assert.equal(await read(await two.openStore('s', forever()), 'k'), 'v');
});
