import { version } from 'lmdb';

const claims = [
  'kv.CAS',
  'kv.Txn',
  'kv.LinearizableRead',
  'kv.List',
  'kv.SnapshotList',
  'kv.TTL',
  'kv.Watch',
  'kv.WatchEvery',
  'kv.WatchTxn',
  'kv.ExpiryEvents',
  'kv.Manage',
  'Shared',
];

const MILLISECOND = 1e6;

/** The limits that the host checks before it sends a call; a message Limits. */
export const limits = {
  max_key_bytes: 1024, // LMDB accepts 1978, of which this plugin uses a few
  max_value_bytes: 4 << 20,
  max_txn_ops: 200,
  max_batch: 200, // a frame has space for so many of the longest values
  pipelines: 4,
  ttl_resolution_nanos: MILLISECOND,
  min_ttl_nanos: MILLISECOND,
};

const oneServer = {
  claim: 'DurableQuorum',
  reason: 'LMDB stores on one machine',
  remedy: 'use a backend that replicates',
};

const inMemory = (fileSystem) => ({
  claim: 'DurableFsync',
  reason: `the folder is on ${fileSystem}, which keeps its data in memory`,
  remedy: 'give a folder on a disk',
});

/**
 * @param {string} folder
 * @param {string | null} volatile the name of a file system that keeps its data in memory
 * @returns {object} a message Description
 */
export const describe = (folder, volatile) => ({
  provider: 'lmdb',
  system: 'lmdb',
  version: `${version.major}.${version.minor}.${version.patch}`,
  endpoint: folder,
  generation: 1,
  notes: ['times to live follow the clock of this machine'],
  facets: [
    {
      facet: 'kv',
      claims: volatile ? claims : [...claims, 'DurableFsync'],
      missing: volatile ? [oneServer, inMemory(volatile)] : [oneServer],
      limits,
    },
  ],
});
