import { Server, ServerCredentials } from '@grpc/grpc-js';
import { HealthImplementation } from 'grpc-health-check';
import { controllerService, pluginService } from './protocol.js';

// The largest frame of the protocol, and space for its envelope.
const LONGEST_MESSAGE = 2 ** 30 + 2 ** 20;

const options = {
  'grpc.max_receive_message_length': LONGEST_MESSAGE,
  'grpc.max_send_message_length': LONGEST_MESSAGE,
  'grpc-node.flow_control_window': 8 << 20,
};

/**
 * @param {import('./plugin-service.js').PluginService} service
 * @param {() => void} shutdown is called when the host asks the plugin to end
 */
export function makeServer(service, shutdown) {
  const server = new Server(options);
  server.addService(pluginService, service.methods);
  server.addService(controllerService, {
    Shutdown: (_, callback) => (callback(null, {}), shutdown()),
  });
  new HealthImplementation({ '': 'SERVING', plugin: 'SERVING' }).addToServer(server);
  return server;
}

/**
 * Returns credentials with TLS, which accept only the host with the given
 * certificate. Without a certificate they have no TLS: then only the permissions of
 * the socket's folder protect the connection.
 * @param {string | undefined} hostCertificate PEM
 * @param {{certificate: string, key: string}} own
 */
export function credentials(hostCertificate, own) {
  if (!hostCertificate) return ServerCredentials.createInsecure();
  const pair = { cert_chain: Buffer.from(own.certificate), private_key: Buffer.from(own.key) };
  return ServerCredentials.createSsl(Buffer.from(hostCertificate), [pair], true);
}

/** @param {Server} server @param {string} path of a Unix socket */
export function listen(server, path, creds) {
  return new Promise((resolve, reject) => {
    server.bindAsync(`unix:${path}`, creds, (e) => (e ? reject(e) : resolve()));
  });
}
