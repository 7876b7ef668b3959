// Writes to a folder without an end, and prints each key that was acknowledged.
// For tests that kill it.
import fs from 'node:fs';
import { forever, one, put } from './helpers.js';
import { Provider } from '../src/lmdb/provider.js';

const provider = await Provider.open({ folder: process.argv[2], history: 1000, historyBytes: 1 << 20 });
const store = await provider.openStore('s', forever());

async function write(writer) {
  for (let i = 0; ; i++) {
    const key = `${process.pid}-${writer}-${i}`;
    await one(store, put(key, key));
    fs.writeSync(1, `${key}\n`);
  }
}
await Promise.all(Array.from({ length: 8 }, (_, writer) => write(writer)));
