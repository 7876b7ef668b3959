import fs from 'node:fs';
import { parseArgs } from 'node:util';
import { makeServer } from './grpc-server.js';
import { handshake, launched } from './launch.js';
import { log } from './log.js';
import { command, manifest } from './manifest.js';
import { PluginService } from './plugin-service.js';
import { parse } from './settings.js';
import { serveAt } from './sidecar.js';

const usage = `${command} is a Fairlead plugin: a host starts it, for a URL as plugin+lmdb:///path/of/folder.
Other uses:
  ${command} --manifest
        print the manifest
  ${command} --listen unix:///PATH [--url URL | --url-file FILE]
        serve as a sidecar, the URL or, without one, what hosts ask for; the
        variable FAIRLEAD_URL may hold the URL, too
`;

const flags = {
  manifest: { type: 'boolean' },
  listen: { type: 'string' },
  url: { type: 'string' },
  'url-file': { type: 'string' },
};

// Milliseconds for what is under way, and for the last answers, to end.
const DRAIN = 1500;
const LAST_ANSWERS = 500;

/** Ends the process once, after the calls under way have ended or after DRAIN. */
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
  process.on('SIGINT', () => {}); // it is meant for the host, which ends its plugins
  const { parts, shutdown } = make('', (end) => end('the host is gone'));
  parts.socket = await handshake(parts.server, process.env);
  // A pipe that the host holds: it ends with the host, also if that is killed
  // before it has opened the Lifetime stream.
  const stdin = fs.fstatSync(0);
  if (stdin.isFIFO() || stdin.isSocket()) process.stdin.resume().on('end', () => shutdown('the host is gone'));
}

/** Serves any hosts, which come and go. */
async function serveSidecar(values) {
  const url = values.url ?? (values['url-file'] ? fs.readFileSync(values['url-file'], 'utf8').trim() : process.env.FAIRLEAD_URL) ?? '';
  if (url) parse(url); // finds a mistake now, before a host opens the URL
  const { parts, shutdown } = make(url, () => {});
  process.on('SIGINT', () => shutdown('SIGINT'));
  parts.socket = await serveAt(parts.server, values.listen);
  log.info('the plugin serves', { address: values.listen });
}

async function main() {
  process.umask(0o077); // no other user may read the data or use the socket
  const { values } = parseArgs({ options: flags });
  if (values.manifest) process.stdout.write(`${JSON.stringify(manifest, null, 2)}\n`);
  else if (values.listen) await serveSidecar(values);
  else if (launched(process.env)) await serveHost();
  else {
    process.stderr.write(usage);
    process.exitCode = 2;
  }
}

main().catch((e) => {
  log.error('the plugin cannot start', { error: e.message });
  process.exit(e.code?.startsWith?.('ERR_PARSE_ARGS') ? 2 : 1);
});
