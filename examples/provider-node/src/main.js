import fs from 'node:fs';
import { listen, makeServer, credentials } from './grpc-server.js';
import { handshake, launched } from './launch.js';
import { log } from './log.js';
import { command, manifest } from './manifest.js';
import { PluginService } from './plugin-service.js';

const usage = `${command} is a Fairlead plugin: a host starts it, for a URL as plugin+lmdb:///path/of/folder.
Other uses:
  ${command} --manifest                      print the manifest
  ${command} --listen unix:///PATH [URL]     serve as a sidecar, for the URL unless a host names another
`;

// Milliseconds for what is under way, and for the last answers, to end.
const DRAIN = 5000;
const LAST_ANSWERS = 500;

/** Ends the process once, when what is under way is done. */
function makeShutdown(parts) {
  let running = null;
  const shutdown = async (reason) => {
    log.info('the plugin ends', { reason });
    setTimeout(() => process.exit(1), DRAIN).unref();
    await parts.service.close();
    await stop(parts.server);
    if (parts.socket) fs.rmSync(parts.socket, { force: true });
    process.exit(0);
  };
  return (reason) => (running ??= shutdown(reason));
}

function stop(server) {
  return new Promise((resolve) => {
    server.tryShutdown(resolve);
    setTimeout(resolve, LAST_ANSWERS).unref();
  });
}

function make(url, hostLost) {
  const parts = {};
  const shutdown = makeShutdown(parts);
  parts.service = new PluginService(url, () => hostLost(shutdown));
  parts.server = makeServer(parts.service, () => shutdown('the host asked for it'));
  process.on('SIGTERM', () => shutdown('SIGTERM'));
  return { parts, shutdown };
}

/** Serves the host that started this process, and ends with it. */
async function serveHost() {
  process.on('SIGINT', () => {}); // is meant for the host, which ends its plugins
  const { parts, shutdown } = make('', (end) => end('the host is gone'));
  parts.socket = await handshake(parts.server, process.env);
  // A pipe that the host holds: it ends with the host, also if that is killed
  // before it has opened the Lifetime stream.
  const stdin = fs.fstatSync(0);
  if (stdin.isFIFO() || stdin.isSocket()) process.stdin.resume().on('end', () => shutdown('the host is gone'));
}

/** Serves any hosts, which come and go. */
async function serveSidecar(address, url) {
  if (!address?.startsWith('unix:///')) throw new Error('--listen takes unix:///PATH');
  const { parts, shutdown } = make(url ?? '', () => {});
  process.on('SIGINT', () => shutdown('SIGINT'));
  const socket = address.slice('unix://'.length);
  await listen(parts.server, socket, credentials());
  fs.chmodSync(socket, 0o600);
  parts.socket = socket;
  log.info('the plugin serves', { address });
}

async function main([first, ...rest]) {
  process.umask(0o077); // nobody else reads the data or uses the socket
  if (first === '--manifest') process.stdout.write(`${JSON.stringify(manifest, null, 2)}\n`);
  else if (first === '--listen') await serveSidecar(...rest);
  else if (first === undefined && launched(process.env)) await serveHost();
  else {
    process.stderr.write(usage);
    process.exitCode = 2;
  }
}

main(process.argv.slice(2)).catch((e) => {
  log.error('the plugin cannot start', { error: e.message });
  process.exit(1);
});
