// Copies the protocol from its own folder in this repository.
import fs from 'node:fs';
import { fileURLToPath } from 'node:url';

const from = fileURLToPath(new URL('../../../plugins/proto/fairlead', import.meta.url));
const to = fileURLToPath(new URL('../proto/fairlead', import.meta.url));
fs.rmSync(to, { recursive: true, force: true });
fs.cpSync(from, to, { recursive: true });
