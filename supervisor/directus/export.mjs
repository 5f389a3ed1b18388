// Runs inside Node, with Directus' own code: reads the live schema as a snapshot, and how a snapshot file differs from it.
//
// usage: node export.mjs API_FOLDER SNAPSHOT_FILE EXCLUDED FD
//   EXCLUDED is a JSON list of collections to leave out; FD is where the answer goes, as JSON:
//   {text, same, diff} or {failure: {message, line?, column?}}
//
// `same` is whether the file says the same, however it is written; `diff` is null when there is no file to compare.

import { readFile } from 'node:fs/promises';
import { writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { isDeepStrictEqual } from 'node:util';

const [apiFolder, snapshotFile, excluded, descriptor] = process.argv.slice(2);
const load = (module) => import(pathToFileURL(join(apiFolder, 'dist', module)).href);
const yaml = createRequire(join(apiFolder, 'package.json'))('js-yaml');
const isJson = snapshotFile.endsWith('.json');

const PARTS = ['collections', 'fields', 'systemFields', 'relations'];
const left = new Set(JSON.parse(excluded));

function answer(message) {
	writeFileSync(Number(descriptor), JSON.stringify(message));
	process.exit(message.failure ? 1 : 0);
}

const fail = (error) =>
	answer({
		failure: {
			message: error?.reason ?? error?.message ?? String(error),
			line: error?.mark ? error.mark.line + 1 : undefined,
			column: error?.mark ? error.mark.column + 1 : undefined,
		},
	});

const compare = (one, other) => (one < other ? -1 : one > other ? 1 : 0);
const rank = (item) => item.meta?.sort ?? Infinity;

// Nothing here depends on the order in which a database happens to hold its rows.
function ordered(snapshot) {
	const { version, directus, vendor } = snapshot;
	const result = { version, directus, vendor };
	for (const part of PARTS) {
		result[part] = (snapshot[part] ?? [])
			.filter(({ collection }) => !left.has(collection))
			.toSorted(
				(one, other) =>
					compare(one.collection, other.collection) ||
					(part === 'fields' ? compare(rank(one), rank(other)) : 0) ||
					compare(one.field ?? '', other.field ?? ''),
			);
	}
	return result;
}

const plain = (value) => JSON.parse(JSON.stringify(value));

async function readSnapshot() {
	let text;
	try {
		text = await readFile(snapshotFile, 'utf8');
	} catch (error) {
		if (error.code === 'ENOENT') return null;
		throw error;
	}
	if (text.trim() === '') return null;
	const snapshot = isJson ? JSON.parse(text) : yaml.load(text);
	for (const part of ['collections', 'fields', 'relations']) {
		if (!Array.isArray(snapshot?.[part])) throw new Error(`"${part}" is not a list`);
	}
	return snapshot;
}

try {
	const before = await readSnapshot();
	const { default: getDatabase, isInstalled } = await load('database/index.js');
	const { getSnapshot } = await load('utils/get-snapshot.js');
	const { getSnapshotDiff } = await load('utils/get-snapshot-diff.js');
	const { loadExtensions } = await load('cli/load-extensions.js');
	const database = getDatabase();
	if (!(await isInstalled())) throw new Error("Directus isn't installed on this database");
	await loadExtensions();

	const live = ordered(plain(await getSnapshot({ database })));
	const text = isJson ? `${JSON.stringify(live, null, 2)}\n` : yaml.dump(live, { lineWidth: -1, noRefs: true });
	const read = isJson ? JSON.parse(text) : yaml.load(text);
	if (!isDeepStrictEqual(plain(read), live)) throw new Error('what was written does not read back the same');

	const file = before && ordered(before);
	const same = file !== null && isDeepStrictEqual(plain(file), live);
	answer({ text, same, diff: file && getSnapshotDiff(live, file) });
} catch (error) {
	fail(error);
}
