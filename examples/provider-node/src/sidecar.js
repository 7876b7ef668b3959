import { once } from 'node:events';
import fs from 'node:fs';
import net from 'node:net';
import { ProviderError } from './errors.js';
import { credentials, listen } from './grpc-server.js';

/**
 * Serves on a Unix socket that only its user can open, without certificates.
 * @param {import('@grpc/grpc-js').Server} server
 * @param {string} address unix:///PATH
 * @returns {Promise<string>} the path
 */
export async function serveAt(server, address) {
  if (!address.startsWith('unix:///')) throw new ProviderError('INVALID', `--listen is ${JSON.stringify(address)}; accepted: unix:///PATH`);
  const path = address.slice('unix://'.length);
  await removeStale(path);
  await listen(server, path, credentials());
  fs.chmodSync(path, 0o600);
  return path;
}

/** Removes the socket of a process that was killed. */
async function removeStale(path) {
  if (!fs.statSync(path, { throwIfNoEntry: false })?.isSocket()) return;
  const connection = net.connect(path);
  const used = await once(connection, 'connect').then(() => true, () => false);
  connection.destroy();
  if (used) throw new ProviderError('INVALID', `another process listens on ${path}`);
  fs.rmSync(path);
}
