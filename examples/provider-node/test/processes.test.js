import assert from 'node:assert/strict';
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { eventually, folder, forever, one, open, put, read, shown, watchOf, within } from './helpers.js';

const program = fileURLToPath(new URL('writer-process.js', import.meta.url));
const putProgram = fileURLToPath(new URL('put-process.js', import.meta.url));
const fullProgram = fileURLToPath(new URL('full-process.js', import.meta.url));

/** Starts a process that writes to the folder; what it printed is in acked(). */
function writerProcess(t, at) {
  const child = spawn(process.execPath, [program, at], { stdio: ['ignore', 'pipe', 'inherit'] });
  let text = '';
  child.stdout.on('data', (part) => (text += part));
  t.after(() => child.kill('SIGKILL'));
  return { child, acked: () => text.split('\n').slice(0, -1), ended: once(child, 'close') };
}

test('what was acknowledged before a kill is there, and another process goes on', async (t) => {
  const at = folder(t);
  const store = await (await open(t, at)).openStore('s', forever());
  for (let round = 0; round < 3; round++) {
    const { child, acked, ended } = writerProcess(t, at);
    const watcher = watchOf(store);
    const seen = new Set();
    await eventually(async () => {
      for (const event of await watcher.next(within(10_000))) seen.add(String(event.key));
      await one(store, put('own', 'x'));
      return acked().length > 100;
    }, 'the other process writes');
    child.kill('SIGKILL');
    await ended;
    await one(store, put('own', String(round)));
    for (const key of acked()) assert.equal(await read(store, key), key);
    assert.ok([...seen].some((key) => key !== 'own'), 'a watch sees what another process writes');
  }
});

test('a watch that waits is woken by another process', async (t) => {
  const at = folder(t);
  const store = await (await open(t, at)).openStore('s', forever());
  const waiting = watchOf(store).next(within(10_000));
  writerProcess(t, at);
  assert.match(shown(await waiting)[0], /^PUT \d+-0-0=/);
});

/** Puts a key in another process, and returns when that has ended. */
const putElsewhere = (at, ...args) => execFileSync(process.execPath, [putProgram, at, ...args]);

test('a read sees what another process wrote before it began', async (t) => {
  const at = folder(t);
  const store = await (await open(t, at)).openStore('s', forever());
  await one(store, put('k', 'before'));
  const before = read(store, 'k');
  putElsewhere(at, 'k', 'after'); // in the same turn of this process
  const after = read(store, 'k');
  assert.deepEqual(await Promise.all([before, after]), ['before', 'after']);
});

test('a time to live ends after its process has ended', async (t) => {
  const at = folder(t);
  const store = await (await open(t, at)).openStore('s', forever());
  await new Promise((resolve) => setTimeout(resolve, 50)); // until the first look for deadlines is over
  const watcher = watchOf(store);
  putElsewhere(at, 'k', 'v', String(400e6));
  const events = [];
  while (events.length < 2) events.push(...(await watcher.next(within(10_000))));
  assert.deepEqual(shown(events), ['PUT k=v', 'EXPIRE k']);
});

test('a disk that is full fails writes, and nothing else', async (t) => {
  // A limit on the size of files acts like a full disk for one process.
  const limited = `trap '' XFSZ; ulimit -f 3000; exec "${process.execPath}" "${fullProgram}" "${folder(t)}" 2>/dev/null`;
  const { acked, failures, lost, freed } = JSON.parse(execFileSync('sh', ['-c', limited]));
  assert.ok(acked > 3, `${acked} writes`);
  assert.deepEqual(new Set(failures), new Set(['CODE_UNKNOWN_OUTCOME']));
  assert.deepEqual([lost, freed], [[], true]);
});
