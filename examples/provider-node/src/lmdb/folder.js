import fs from 'node:fs';
import path from 'node:path';
import { ProviderError } from '../errors.js';

const inMemory = new Map([[0x01021994, 'tmpfs'], [0x858458f6, 'ramfs']]);
const overNetwork = new Map([[0x6969, 'NFS'], [0x517b, 'SMB'], [0xfe534d42, 'SMB'], [0xff534d42, 'CIFS']]);

const MAGIC = 0xbeefc0de; // of LMDB's first page
const MAGIC_AT = 24;
const LEAST_FILE = 8192; // its two first pages

const codes = { EACCES: 'PERMISSION_DENIED', EPERM: 'PERMISSION_DENIED', EROFS: 'PERMISSION_DENIED', ENOTDIR: 'INVALID', EEXIST: 'INVALID' };

/**
 * Creates the folder of a database, if it does not exist, so that it survives a
 * loss of power. Refuses folders that LMDB cannot use.
 * @param {string} folder an absolute path
 * @returns {{path: string, volatile: string | null}} the path without symbolic
 *   links, and the name of the file system if that keeps its data in memory
 */
export function prepare(folder) {
  try {
    make(folder);
  } catch (e) {
    throw new ProviderError(codes[e.code] ?? 'UNAVAILABLE', `the folder ${folder} cannot be used: ${e.code ?? e.message}`);
  }
  const resolved = fs.realpathSync(folder);
  const type = fs.statfsSync(resolved).type;
  if (overNetwork.has(type)) {
    throw new ProviderError('INVALID', `the folder ${folder} is on ${overNetwork.get(type)}, where LMDB's locks do not work; give a folder on a local disk`);
  }
  checkFile(path.join(resolved, 'data.mdb'));
  return { path: resolved, volatile: inMemory.get(type) ?? null };
}

function make(folder) {
  const first = fs.mkdirSync(folder, { recursive: true, mode: 0o700 });
  fs.accessSync(folder, fs.constants.R_OK | fs.constants.W_OK | fs.constants.X_OK);
  for (let made = folder; first !== undefined && made.length >= first.length; made = path.dirname(made)) {
    sync(path.dirname(made));
  }
}

/** @param {string} folder whose entries are to survive a loss of power */
export function sync(folder) {
  const fd = fs.openSync(folder, 'r');
  try {
    fs.fsyncSync(fd);
  } finally {
    fs.closeSync(fd);
  }
}

// LMDB's binding ends the process when it opens a file that is not a database.
function checkFile(file) {
  if (!fs.existsSync(file) || fs.statSync(file).size === 0) return;
  const page = Buffer.alloc(MAGIC_AT + 4);
  const fd = fs.openSync(file, 'r');
  try {
    fs.readSync(fd, page, 0, page.length, 0);
  } finally {
    fs.closeSync(fd);
  }
  if (fs.statSync(file).size < LEAST_FILE || page.readUInt32LE(MAGIC_AT) !== MAGIC) {
    throw new ProviderError('INVALID', `${file} is not an LMDB database; give another folder`);
  }
}
