import { fileURLToPath } from 'node:url';
import protoLoader from '@grpc/proto-loader';

const folder = fileURLToPath(new URL('../proto', import.meta.url));

// Numbers are exact below 2^53. No id and no time reaches that.
const definition = protoLoader.loadSync(
  ['fairlead/plugin/v1/plugin.proto', 'hashicorp/grpc_controller.proto', 'google/rpc/status.proto'],
  { includeDirs: [folder], keepCase: true, longs: Number, enums: String, defaults: true, arrays: true, objects: true, oneofs: true },
);

/** The service of a plugin. */
export const pluginService = definition['fairlead.plugin.v1.PluginService'];

/** The service that go-plugin calls when its host ends a plugin. */
export const controllerService = definition['plugin.GRPCController'];

const errorType = definition['fairlead.plugin.v1.Error'];
const statusType = definition['google.rpc.Status'];

/**
 * @param {number} grpcCode
 * @param {{code: string, message: string}} error a message Error of types.proto
 * @returns {Buffer} a google.rpc.Status whose details hold the error
 */
export function statusDetails(grpcCode, error) {
  const value = errorType.serialize(error);
  const detail = { type_url: 'type.googleapis.com/fairlead.plugin.v1.Error', value };
  return statusType.serialize({ code: grpcCode, message: error.message, details: [detail] });
}
