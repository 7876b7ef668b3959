import { randomBytes } from 'node:crypto';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { makeCertificate } from './certificate.js';
import { credentials, listen } from './grpc-server.js';
import { protocols } from './manifest.js';

// go-plugin's own protocol, beneath ours.
const CORE = 1;
const COOKIE = ['FAIRLEAD_PLUGIN', 'provider'];

/** Whether a host has started this process. */
export const launched = (env) => env[COOKIE[0]] === COOKIE[1];

/**
 * Listens as the host requests, and prints the handshake: the only line that this
 * process ever prints on stdout.
 * @param {import('@grpc/grpc-js').Server} server
 * @param {NodeJS.ProcessEnv} env
 * @returns {Promise<string>} the path of the socket
 */
export async function handshake(server, env) {
  const version = choose(env.PLUGIN_PROTOCOL_VERSIONS ?? '');
  const socket = path.join(socketFolder(env), `plugin-${randomBytes(4).toString('hex')}.sock`);
  const own = await makeCertificate();
  await listen(server, socket, credentials(env.PLUGIN_CLIENT_CERT, own));
  fs.chmodSync(socket, 0o600);
  const certificate = env.PLUGIN_CLIENT_CERT ? own.encoded : '';
  process.stdout.write(`${[CORE, version, 'unix', socket, 'grpc', certificate].join('|')}\n`);
  return socket;
}

/**
 * @param {string} offered versions of the protocol that the host speaks: "1,2"
 * @returns {number} the greatest version that both speak, or our lowest one, which
 *   the host then refuses
 */
export function choose(offered) {
  const common = offered.split(',').map(Number).filter((v) => protocols.includes(v));
  return common.length > 0 ? Math.max(...common) : Math.min(...protocols);
}

function socketFolder(env) {
  const given = env.FAIRLEAD_SOCKET_DIR || env.PLUGIN_UNIX_SOCKET_DIR;
  return given || fs.mkdtempSync(path.join(os.tmpdir(), 'fairlead-'));
}
