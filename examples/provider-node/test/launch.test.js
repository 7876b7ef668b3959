import assert from 'node:assert/strict';
import { spawn } from 'node:child_process';
import { X509Certificate } from 'node:crypto';
import { once } from 'node:events';
import fs from 'node:fs';
import path from 'node:path';
import readline from 'node:readline';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import grpc from '@grpc/grpc-js';
import { makeCertificate } from '../src/certificate.js';
import { choose } from '../src/launch.js';
import { manifest } from '../src/manifest.js';
import { controllerService, pluginService } from '../src/protocol.js';
import { folder } from './helpers.js';

const command = fileURLToPath(new URL('../fairlead-lmdb', import.meta.url));

const PluginClient = grpc.makeClientConstructor(pluginService, 'PluginService');
const ControllerClient = grpc.makeClientConstructor(controllerService, 'GRPCController');

const pem = (base64) => new X509Certificate(Buffer.from(base64, 'base64')).toString();

/** Starts the plugin as a host does. */
async function launch(t) {
  const sockets = folder(t);
  const host = await makeCertificate();
  const env = { PATH: process.env.PATH, FAIRLEAD_PLUGIN: 'provider', PLUGIN_PROTOCOL_VERSIONS: '1', FAIRLEAD_SOCKET_DIR: sockets, PLUGIN_CLIENT_CERT: host.certificate };
  const child = spawn(command, { env, stdio: ['pipe', 'pipe', 'ignore'] });
  t.after(() => child.kill('SIGKILL'));
  const exited = once(child, 'exit');
  const [line] = await once(readline.createInterface(child.stdout), 'line');
  return { child, exited, sockets, host, line: line.split('|') };
}

function clientOf(Client, t, { host, line }) {
  const creds = grpc.credentials.createSsl(Buffer.from(pem(line[5])), Buffer.from(host.key), Buffer.from(host.certificate));
  const client = new Client(`unix:${line[3]}`, creds, { 'grpc.ssl_target_name_override': 'localhost' });
  t.after(() => grpc.Client.prototype.close.call(client)); // Close is a method of the service too
  return client;
}

const call = (client, method, request) =>
  new Promise((resolve, reject) => client[method](request, (e, response) => (e ? reject(e) : resolve(response))));

test('the line says where the plugin listens, with its certificate', async (t) => {
  const { sockets, line } = await launch(t);
  assert.deepEqual(line.slice(0, 3), ['1', '1', 'unix']);
  assert.equal(path.dirname(line[3]), sockets);
  assert.equal(fs.statSync(line[3]).mode & 0o777, 0o600);
  assert.equal(line[4], 'grpc');
  assert.ok(new X509Certificate(pem(line[5])).checkHost('localhost'));
  assert.doesNotMatch(line[5], /=/);
});

test('only the host whose certificate the plugin was given is served', async (t) => {
  const plugin = await launch(t);
  const open = { url: `lmdb://${plugin.sockets}/db` };
  const { description } = await call(clientOf(PluginClient, t, plugin), 'Open', open);
  assert.equal(description.provider, 'lmdb');
  const stranger = clientOf(PluginClient, t, { ...plugin, host: await makeCertificate() });
  await assert.rejects(call(stranger, 'Open', open), (e) => e.code === grpc.status.UNAVAILABLE);
});

test('an error of the control plane carries the Error of the protocol', async (t) => {
  const plugin = await launch(t);
  const opening = call(clientOf(PluginClient, t, plugin), 'Open', { url: 'lmdb://host' });
  await assert.rejects(opening, (e) => {
    const [details] = e.metadata.get('grpc-status-details-bin');
    return e.code === grpc.status.INVALID_ARGUMENT && details.includes('type.googleapis.com/fairlead.plugin.v1.Error');
  });
});

test('the plugin ends with its Lifetime, and its socket with it', async (t) => {
  const plugin = await launch(t);
  const lifetime = clientOf(PluginClient, t, plugin).Lifetime();
  lifetime.on('error', () => {});
  await once(lifetime, 'data');
  lifetime.cancel();
  assert.deepEqual(await plugin.exited, [0, null]);
  assert.deepEqual(fs.readdirSync(plugin.sockets), []);
});

test('the plugin ends with the pipe that the host holds', async (t) => {
  const plugin = await launch(t);
  plugin.child.stdin.end();
  assert.deepEqual(await plugin.exited, [0, null]);
});

test('the plugin ends when the host asks for it through go-plugin', async (t) => {
  const plugin = await launch(t);
  await call(clientOf(ControllerClient, t, plugin), 'Shutdown', {});
  assert.deepEqual(await plugin.exited, [0, null]);
});

test('an interrupt is meant for the host', async (t) => {
  const plugin = await launch(t);
  plugin.child.kill('SIGINT');
  await call(clientOf(PluginClient, t, plugin), 'Open', { url: `lmdb://${plugin.sockets}/db` });
});

test('the version is the greatest that both sides speak', () => {
  assert.deepEqual(['1', '1,2,3', '', '7'].map(choose), [1, 1, 1, 1]);
});

test('without a host the plugin says what it is, and prints its manifest', async () => {
  const run = async (...args) => {
    const child = spawn(command, args, { env: { PATH: process.env.PATH } });
    let out = '';
    child.stdout.on('data', (part) => (out += part));
    const [code] = await once(child, 'close');
    return { code, out };
  };
  assert.deepEqual(await run(), { code: 2, out: '' });
  const { code, out } = await run('--manifest');
  assert.deepEqual([code, JSON.parse(out)], [0, manifest]);
});
