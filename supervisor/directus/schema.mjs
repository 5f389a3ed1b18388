// Runs inside Node, with Directus' own code: reads a snapshot, tells how it differs from the database, and applies it
// when told to. Speaks JSON over the channel of process.send(); stdout stays Directus' log.
//
// usage: node schema.mjs API_FOLDER SNAPSHOT_FILE
//   sends    {type: "failed", stage, message, line?, column?}
//            {type: "diff", snapshot: {collections, fields, relations}, diff}
//            {type: "applied", remaining: diff}
//   receives {type: "apply", ignore: [collection, ...]} or {type: "leave"}
//
// The CLI's `schema apply` answers with exit status 0 to much that is a failure, tells its plan as coloured text only,
// and reads the database again for each step; the modules that it is made of do the same work in one process.

import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

const [apiFolder, snapshotFile] = process.argv.slice(2);
const load = (module) => import(pathToFileURL(join(apiFolder, 'dist', module)).href);
const send = (message) => new Promise((done) => process.send(message, done));

async function fail(stage, error) {
	await send({
		type: 'failed',
		stage,
		message: error?.reason ?? error?.message ?? String(error),
		line: error?.mark ? error.mark.line + 1 : undefined,
		column: error?.mark ? error.mark.column + 1 : undefined,
	});
	process.exit(1);
}

function wrongShape(snapshot) {
	if (snapshot === null || typeof snapshot !== 'object' || Array.isArray(snapshot)) return 'it is not a mapping';
	for (const part of ['collections', 'fields', 'relations']) {
		if (!Array.isArray(snapshot[part])) return `"${part}" is not a list`;
		for (const [index, item] of snapshot[part].entries()) {
			if (typeof item?.collection !== 'string') return `${part}[${index}] names no collection`;
			if (part !== 'collections' && typeof item?.field !== 'string') return `${part}[${index}] names no field`;
		}
	}
	return null;
}

async function readSnapshot() {
	const text = await readFile(snapshotFile, 'utf8');
	// Directus reads YAML with js-yaml, where "no" is a text: so must we.
	const { load: parse } = createRequire(join(apiFolder, 'package.json'))('js-yaml');
	const snapshot = snapshotFile.endsWith('.json') ? JSON.parse(text) : parse(text);
	const problem = wrongShape(snapshot);
	if (problem) throw new Error(problem);
	return snapshot;
}

function without(diff, collections) {
	const ignored = new Set(collections);
	const kept = (list) => (list ?? []).filter((item) => !ignored.has(item.collection));
	return {
		collections: kept(diff.collections),
		fields: kept(diff.fields),
		systemFields: kept(diff.systemFields),
		relations: kept(diff.relations),
	};
}

const outline = (snapshot) => ({
	collections: snapshot.collections.map(({ collection, schema }) => ({ collection, table: Boolean(schema) })),
	fields: snapshot.fields.map(({ collection, field, schema }) => ({ collection, field, column: Boolean(schema) })),
	relations: snapshot.relations.map(({ collection, field }) => ({ collection, field })),
});

const snapshot = await readSnapshot().catch((error) => fail('snapshot', error));

// Answers can come at any time from here on; a parent that is gone means stop.
const answer = new Promise((resolve) => process.once('message', resolve));
process.once('disconnect', () => process.exit(1));

const { default: getDatabase, isInstalled } = await load('database/index.js');
const { getSnapshot } = await load('utils/get-snapshot.js');
const { getSnapshotDiff } = await load('utils/get-snapshot-diff.js');
const { applySnapshot } = await load('utils/apply-snapshot.js');
const { loadExtensions } = await load('cli/load-extensions.js');

const database = getDatabase();

try {
	if (!(await isInstalled())) throw new Error("Directus isn't installed on this database");
	// Hooks of extensions take part, as they do in the CLI's own command.
	await loadExtensions();
	const current = await getSnapshot({ database });
	const diff = getSnapshotDiff(current, snapshot);
	await send({ type: 'diff', snapshot: outline(snapshot), diff });

	const { type, ignore } = await answer;

	if (type === 'apply') {
		await applySnapshot(snapshot, { current, diff: without(diff, ignore), database });
		const remaining = getSnapshotDiff(await getSnapshot({ database }), snapshot);
		await send({ type: 'applied', remaining: without(remaining, ignore) });
	}
} catch (error) {
	await fail('apply', error);
}

await database.destroy();
process.exit(0);
