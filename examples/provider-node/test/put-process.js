// Puts one key into a folder: FOLDER KEY VALUE [TTL in nanoseconds].
import { forever, one, put } from './helpers.js';
import { Provider } from '../src/lmdb/provider.js';

const [folder, key, value, ttl = 0] = process.argv.slice(2);
const provider = await Provider.open({ folder, history: 1000, historyBytes: 1 << 20 });
const store = await provider.openStore('s', forever());
await one(store, put(key, value, { ttl_nanos: Number(ttl) }));
// It ends without closing, so that it does not sweep.
process.exit(0);
