import assert from 'node:assert/strict';
import path from 'node:path';
import { test } from 'node:test';
import grpc from '@grpc/grpc-js';
import { credentials, listen, makeServer } from '../src/grpc-server.js';
import { PluginService } from '../src/plugin-service.js';
import { pluginService } from '../src/protocol.js';
import { eventually, folder, get, put } from './helpers.js';

const Client = grpc.makeClientConstructor(pluginService, 'PluginService');

/** A host of a plugin in this process, without certificates. */
async function host(t) {
  const at = folder(t);
  const service = new PluginService(`lmdb://${at}/db`, () => {});
  const server = makeServer(service, () => {});
  const socket = path.join(at, 's');
  await listen(server, socket, credentials());
  const client = new Client(`unix:${socket}`, grpc.credentials.createInsecure());
  t.after(async () => {
    await service.close();
    grpc.Client.prototype.close.call(client);
    server.forceShutdown();
  });
  const call = (method, request) =>
    new Promise((resolve, reject) => client[method](request, (e, response) => (e ? reject(e) : resolve(response))));
  return { service, call, exchange: () => new Plane(client.Exchange()) };
}

/** The host's end of a data plane. */
class Plane {
  frames = [];
  ended = false;

  constructor(stream) {
    this.stream = stream;
    stream.on('data', (frame) => this.frames.push(frame));
    stream.on('error', () => {});
    stream.on('end', () => (this.ended = true));
  }

  async frame(n) {
    await eventually(() => this.frames.length >= n || this.ended, `frame ${n}`);
    return this.frames[n - 1];
  }

  async reply(id) {
    const found = () => this.frames.flatMap((f) => f.replies).find((r) => r.id === id);
    await eventually(() => found() || this.ended, `a reply to ${id}`);
    return found();
  }
}

async function attached(t) {
  const h = await host(t);
  const { session, token } = await h.call('Open', {});
  const plane = h.exchange();
  plane.stream.write({ attach: { session, token } });
  await plane.frame(1);
  const open = { id: 1, kv_open_store: { name: 's' } };
  plane.stream.write({ calls: [open] });
  return { ...h, session, token, plane, store: (await plane.reply(1)).handle };
}

test('a data plane is attached once, by a caller that knows the token', async (t) => {
  const { call, exchange, session, token } = await attached(t);
  const wrong = Buffer.from(token);
  wrong[0] ^= 1;
  const attempts = [
    [{ attach: { session, token } }, 'CODE_CLOSED'],
    [{ attach: { session: 99, token } }, 'CODE_CLOSED'],
    [{ calls: [] }, 'CODE_INVALID'],
    [{ attach: { session: (await call('Open', {})).session, token: wrong } }, 'CODE_PERMISSION_DENIED'],
  ];
  for (const [first, code] of attempts) {
    const plane = exchange();
    plane.stream.write(first);
    assert.equal((await plane.frame(1)).end.code, code);
    await eventually(() => plane.ended, 'the stream ends');
  }
});

test('the replies that are ready together share a frame', async (t) => {
  const { plane, store } = await attached(t);
  const before = plane.frames.length;
  const calls = Array.from({ length: 50 }, (_, i) => ({ id: 10 + i, handle: store, kv_do: { ops: [put(`k${i}`, 'v')] } }));
  plane.stream.write({ calls });
  await plane.reply(59);
  assert.ok(plane.frames.length - before < 10, `${plane.frames.length - before} frames`);
});

test('a call that is canceled, or whose time is over, is answered, and what it waited for comes to the next', async (t) => {
  const { plane, store } = await attached(t);
  plane.stream.write({ calls: [{ id: 2, handle: store, kv_watch: {} }] });
  const { handle } = await plane.reply(2);
  plane.stream.write({ calls: [{ id: 3, handle, kv_next: {} }, { id: 4, handle: store, kv_do: { ops: [get('k')] } }] });
  await plane.reply(4);
  plane.stream.write({ cancels: [3, 77] });
  assert.equal((await plane.reply(3)).error.code, 'CODE_CANCELED');
  plane.stream.write({ calls: [{ id: 5, handle, kv_next: {}, timeout_nanos: 20e6 }] });
  assert.equal((await plane.reply(5)).error.code, 'CODE_DEADLINE_EXCEEDED');
  plane.stream.write({ calls: [{ id: 6, handle: store, kv_do: { ops: [put('k', 'v')] } }, { id: 7, handle, kv_next: {} }] });
  assert.equal((await plane.reply(7)).kv_events.events.length, 1);
});

test('closing a handle ends the calls on it and on what was opened from it', async (t) => {
  const { plane, store } = await attached(t);
  plane.stream.write({ calls: [{ id: 2, handle: store, kv_watch: {} }] });
  const { handle } = await plane.reply(2);
  plane.stream.write({ calls: [{ id: 3, handle, kv_next: {} }, { id: 4, handle: store, close_handle: {} }] });
  assert.equal((await plane.reply(3)).error.code, 'CODE_CLOSED');
  assert.equal((await plane.reply(4)).error, null);
  plane.stream.write({ calls: [{ id: 5, handle: store, kv_do: { ops: [get('k')] } }, { id: 6, handle: store, close_handle: {} }] });
  assert.equal((await plane.reply(5)).error.code, 'CODE_CLOSED');
  assert.equal((await plane.reply(6)).error, null);
});

test('what waits when the plugin ends is Unavailable, not Closed', async (t) => {
  const { plane, store, service } = await attached(t);
  plane.stream.write({ calls: [{ id: 2, handle: store, kv_watch: {} }] });
  const { handle } = await plane.reply(2);
  plane.stream.write({ calls: [{ id: 3, handle, kv_next: {} }, { id: 4, handle: store, kv_do: { ops: [get('k')] } }] });
  await plane.reply(4);
  const closed = service.close();
  assert.equal((await plane.reply(3)).error.code, 'CODE_UNAVAILABLE');
  await closed;
});

test('a call that the plugin does not offer is Unsupported', async (t) => {
  const { plane } = await attached(t);
  plane.stream.write({ calls: [{ id: 2, pubsub_open_topic: { name: 't' } }, { id: 3 }] });
  assert.equal((await plane.reply(2)).error.code, 'CODE_UNSUPPORTED');
  assert.equal((await plane.reply(3)).error.code, 'CODE_UNSUPPORTED');
});

test('a session ends with its data plane, and with Close, which waits, and answers the calls that wait', async (t) => {
  const { call, plane, session, token, store } = await attached(t);
  const described = assert.rejects(call('Describe', { session, token, generation: 1 }), (e) => e.code === grpc.status.FAILED_PRECONDITION);
  assert.equal((await call('Describe', { session, token, generation: 0 })).description.generation, 1);
  plane.stream.write({ calls: [{ id: 2, handle: store, kv_do: { ops: [put('k', 'v')] } }] });
  await plane.reply(2);
  await call('Close', { session, token });
  await described;
  await eventually(() => plane.ended, 'the data plane ends');
  await call('Close', { session, token });
  await assert.rejects(call('Describe', { session, token, generation: 0 }));
});

test('a session whose data plane breaks is closed', async (t) => {
  const { call, plane, session, token } = await attached(t);
  const describing = call('Describe', { session, token, generation: 1 });
  plane.stream.cancel();
  await assert.rejects(describing, (e) => e.code === grpc.status.FAILED_PRECONDITION);
});

test('a client that guesses the number of a session can neither close nor describe it', async (t) => {
  const { call, plane, session, store } = await attached(t);
  for (const token of [Buffer.alloc(0), Buffer.alloc(32)]) {
    await assert.rejects(call('Close', { session, token }), (e) => e.code === grpc.status.PERMISSION_DENIED);
    await assert.rejects(call('Describe', { session, token, generation: 0 }), (e) => e.code === grpc.status.PERMISSION_DENIED);
  }
  plane.stream.write({ calls: [{ id: 2, handle: store, kv_do: { ops: [put('k', 'v')] } }] });
  assert.equal((await plane.reply(2)).error, null);
});

test('a data plane that never attaches ends', async (t) => {
  t.mock.timers.enable({ apis: ['setTimeout'] });
  const { Exchange } = await import('../src/exchange.js');
  const written = [];
  const stream = { on() {}, write: (frame) => written.push(frame), end: () => written.push('end') };
  new Exchange(stream, new Map());
  t.mock.timers.tick(29_999);
  assert.equal(written.length, 0);
  t.mock.timers.tick(1);
  assert.equal(written[0].end.code, 'CODE_DEADLINE_EXCEEDED');
  assert.equal(written[1], 'end');
});
