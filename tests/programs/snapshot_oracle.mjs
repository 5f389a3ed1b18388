// Answers each line on stdin with what Directus' own get-snapshot reads from the database, as one line of JSON.
// usage: node snapshot_oracle.mjs API_FOLDER

import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { pathToFileURL } from 'node:url';

const load = (module) => import(pathToFileURL(join(process.argv[2], 'dist', module)).href);
const { default: getDatabase } = await load('database/index.js');
const { getSnapshot } = await load('utils/get-snapshot.js');
const database = getDatabase();

process.stdout.write('ready\n');
for await (const _ of createInterface({ input: process.stdin })) {
	const snapshot = await getSnapshot({ database }).catch((error) => ({ error: error.message }));
	process.stdout.write(`${JSON.stringify(snapshot)}\n`);
}
process.exit(0);
