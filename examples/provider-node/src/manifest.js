/** The fixed properties of this plugin: its name, its URLs and their parameters. */
export const name = 'lmdb';
export const command = 'fairlead-lmdb';

/** The versions of the protocol that it speaks. */
export const protocols = [1];

/** Parameters of the URL; the host checks them before the process starts. */
export const settings = [
  { name: 'history', kind: 'int', default: '10000', min: 1, help: 'changes of a store that are kept for watches' },
  {
    name: 'history-bytes',
    kind: 'int',
    default: '268435456',
    min: 1048576,
    help: 'bytes of changes of a store that are kept for watches',
  },
];

/** The manifest, without the checksum of the command. */
export const manifest = {
  name,
  command,
  protocols,
  schemes: [{ name: 'lmdb', help: 'an LMDB database in a local folder: lmdb:///path/of/folder', settings }],
};
