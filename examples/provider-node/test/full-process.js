// Writes to a folder until that fails, and prints the results as JSON.
import { forever, one, put, read, remove } from './helpers.js';
import { Provider } from '../src/lmdb/provider.js';

const provider = await Provider.open({ folder: process.argv[2], history: 1000, historyBytes: 1 << 30 });
const store = await provider.openStore('s', forever());
const acked = [];
const failures = [];
while (failures.length < 5) {
  const key = `k${acked.length}`;
  await one(store, put(key, Buffer.alloc(100_000, key))).then(() => acked.push(key), (e) => failures.push(e.message));
}
const found = await Promise.all(acked.map((key) => read(store, key)));
const lost = acked.filter((key, i) => !found[i].startsWith(key));
const freed = await one(store, remove(acked[0])).then(() => true, () => false);
await provider.close();
process.stdout.write(JSON.stringify({ acked: acked.length, failures, lost, freed }));
