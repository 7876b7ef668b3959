// Installs the plugin in a plugin folder:
//
//   FOLDER/fairlead-lmdb         the command, a script that starts node
//   FOLDER/fairlead-lmdb.json    the manifest, with the checksum of the command
//   FOLDER/fairlead-lmdb.d/      the program and the packages that it needs
//
// npm run install-plugin -- [FOLDER]    (default: ~/.local/share/fairlead/plugins)

import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { command, manifest } from '../src/manifest.js';

const source = fileURLToPath(new URL('..', import.meta.url));
const data = process.env.XDG_DATA_HOME || path.join(os.homedir(), '.local/share');
const folder = path.resolve(process.argv[2] ?? path.join(data, 'fairlead/plugins'));

// A host gives a plugin no PATH: the command names node itself.
const script = `#!/bin/sh
here=$(CDPATH= cd -- "$(dirname -- "$(readlink -f -- "$0")")" && pwd) || exit 1
exec ${quote(process.execPath)} "$here/${command}.d/src/main.js" "$@"
`;

function quote(text) {
  return `'${text.replaceAll("'", "'\\''")}'`;
}

/** Copies the program, and the packages that are there or else are fetched. */
function copyProgram(to) {
  for (const name of ['src', 'proto', 'package.json', 'package-lock.json']) {
    fs.cpSync(path.join(source, name), path.join(to, name), { recursive: true });
  }
  const modules = path.join(source, 'node_modules');
  if (fs.existsSync(modules)) {
    fs.cpSync(fs.realpathSync(modules), path.join(to, 'node_modules'), { recursive: true });
  } else {
    execFileSync('npm', ['ci', '--omit=dev', '--ignore-scripts', '--prefer-offline', '--no-audit', '--no-fund'], { cwd: to, stdio: ['ignore', 2, 2] });
  }
}

/** Puts a folder in its place, whatever was there. */
function replaceFolder(from, to) {
  const old = `${from}.old`;
  if (fs.existsSync(to)) fs.renameSync(to, old);
  fs.renameSync(from, to);
  fs.rmSync(old, { recursive: true, force: true });
}

fs.mkdirSync(folder, { recursive: true });
const staged = fs.mkdtempSync(path.join(folder, '.install-'));
try {
  const file = (name) => path.join(staged, name);
  copyProgram(file('program'));
  fs.writeFileSync(file('command'), script, { mode: 0o755 });
  const sha256 = createHash('sha256').update(script).digest('hex');
  fs.writeFileSync(file('manifest'), `${JSON.stringify({ ...manifest, sha256 }, null, 2)}\n`);
  replaceFolder(file('program'), path.join(folder, `${command}.d`));
  fs.renameSync(file('command'), path.join(folder, command));
  fs.renameSync(file('manifest'), path.join(folder, `${command}.json`));
} finally {
  fs.rmSync(staged, { recursive: true, force: true });
}
process.stdout.write(`installed ${command} in ${folder}\n`);
