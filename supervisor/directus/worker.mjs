// Runs inside Node, with Directus' own code: bootstraps the database, reads a snapshot, tells how it differs from the
// database, and applies it when told to. One process does it all, as loading Directus takes most of the time that any
// of it takes. Speaks JSON over the channel of process.send(); stdout stays Directus' log.
//
// usage: node worker.mjs API_FOLDER
//   receives {type: "bootstrap"} or {type: "schema", snapshot: FILE}; either is answered, at last, by {type: "done"}.
//
//   after "schema"
//   sends    {type: "failed", stage, message, line?, column?}
//            {type: "diff", snapshot: {collections, fields, relations}, links, diff}
//                       each item of the diff with the object as it is (before) and as it is to be (after)
//            {type: "held"}       the transaction of the apply has begun, and nobody else writes to the tables
//            {type: "applied", remaining: diff, sealed: the fingerprint in which `remaining` was found, or null}
//   receives {type: "apply", hold: [table, ...], leaveOut, fingerprint: query} or {type: "leave"}, after "diff"
//            {type: "go", leaveOut, record: [statement, ...]} or {type: "leave"}, after "held"
//
// leaveOut is {collections: [name, ...], objects: [[kind, collection, field], ...]}. With tables to hold, what is left
// out is decided anew once they are: the parent counts and copies rows that cannot change before they are dropped.
//
// The CLI's `schema apply` answers with exit status 0 to much that is a failure, tells its plan as coloured text only,
// and reads the database again for each step; the modules that it is made of do the same work in one process.

import { readFile } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

// How long other sessions may keep the rows of a table in motion.
const LOCK_TIMEOUT_S = 60;

const [apiFolder] = process.argv.slice(2);
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

async function readSnapshot(snapshotFile) {
	const text = await readFile(snapshotFile, 'utf8');
	// Directus reads YAML with js-yaml, where "no" is a text: so must we.
	const { load: parse } = createRequire(join(apiFolder, 'package.json'))('js-yaml');
	const snapshot = snapshotFile.endsWith('.json') ? JSON.parse(text) : parse(text);
	const problem = wrongShape(snapshot);
	if (problem) throw new Error(problem);
	return snapshot;
}

const KINDS = { collections: 'collection', fields: 'field', systemFields: 'field', relations: 'relation' };

function without(diff, { collections, objects }) {
	const ignored = new Set(collections);
	const leftOut = new Set(objects.map((key) => JSON.stringify(key)));
	const kept = {};
	for (const [part, kind] of Object.entries(KINDS)) {
		kept[part] = (diff[part] ?? []).filter(
			({ collection, field }) =>
				!ignored.has(collection) && !leftOut.has(JSON.stringify([kind, collection, field ?? null])),
		);
	}
	return kept;
}

function explained(diff, current, snapshot) {
	const told = {};
	for (const part of Object.keys(KINDS)) {
		const find = (side, item) =>
			side[part]?.find(({ collection, field }) => collection === item.collection && field === item.field);
		told[part] = (diff[part] ?? []).map((item) => ({
			...item,
			before: find(current, item),
			after: find(snapshot, item),
		}));
	}
	return told;
}

const links = (...sides) =>
	sides.flatMap(({ relations }) =>
		(relations ?? []).map(({ collection, field, related_collection, meta }) => ({
			collection,
			field,
			related: related_collection ?? null,
			alias: meta?.one_field ?? null,
		})),
	);

const outline = (snapshot) => ({
	collections: snapshot.collections.map(({ collection, schema }) => ({ collection, table: Boolean(schema) })),
	fields: snapshot.fields.map(({ collection, field, schema }) => ({ collection, field, column: Boolean(schema) })),
	relations: snapshot.relations.map(({ collection, field }) => ({ collection, field })),
});

// Answers can come at any time from here on; there may be nothing else to wait for.
process.channel?.ref();
const inbox = [];
let wake = () => {};
process.on('message', (message) => {
	inbox.push(message);
	wake();
});

async function receive() {
	while (inbox.length === 0) await new Promise((resolve) => (wake = resolve));
	return inbox.shift();
}

class Left extends Error {}

// Directus applies in a transaction that it begins itself. Ours comes in front of its work, in that very transaction:
// a lock taken on any other session would either end too early, or keep Directus itself out.
function holding(database, tables, fill) {
	const begin = (handler) =>
		database.transaction(async (trx) => {
			await trx.raw(`SET LOCAL lock_timeout = '${LOCK_TIMEOUT_S}s'`);
			for (const table of tables) await trx.raw('LOCK TABLE ?? IN SHARE ROW EXCLUSIVE MODE', [table]);
			await trx.raw('SET LOCAL lock_timeout TO DEFAULT');
			await send({ type: 'held' });
			const { type, leaveOut, record } = await receive();
			if (type !== 'go') throw new Left();
			for (const statement of record) await trx.raw(statement);
			fill(leaveOut);
			return handler(trx);
		});
	return new Proxy(database, {
		get: (target, name) => (name === 'transaction' ? begin : Reflect.get(target, name)),
	});
}

async function fingerprint(database, query) {
	try {
		const { rows } = await database.raw(query);
		return rows[0].diffed;
	} catch {
		return null;
	}
}

const { default: getDatabase, isInstalled } = await load('database/index.js');
const { loadExtensions } = await load('cli/load-extensions.js');

// Directus' commands end their process where they are done.
async function toItsEnd(command) {
	const { exit } = process;
	const ended = new Error('the command is done');
	process.exit = (code) => {
		if (code) exit(code);
		throw ended;
	};
	try {
		await command();
	} catch (error) {
		if (error !== ended) throw error;
	} finally {
		process.exit = exit;
	}
}

async function bootstrap() {
	const { default: command } = await load('cli/commands/bootstrap/index.js');
	const { flushCaches } = await load('cache.js');
	const database = getDatabase();
	await loadExtensions();
	await toItsEnd(() => command({}));
	// The command has taken the connections down, and what it knows of the schema is that of an empty database.
	database.initialize();
	await flushCaches(true);
}

async function schema(snapshotFile) {
	const snapshot = await readSnapshot(snapshotFile).catch((error) => fail('snapshot', error));
	const { getSnapshot } = await load('utils/get-snapshot.js');
	const { getSnapshotDiff } = await load('utils/get-snapshot-diff.js');
	const { applySnapshot } = await load('utils/apply-snapshot.js');
	const database = getDatabase();
	try {
		if (!(await isInstalled())) throw new Error("Directus isn't installed on this database");
		// Hooks of extensions take part, as they do in the CLI's own command.
		await loadExtensions();
		const current = await getSnapshot({ database });
		const diff = getSnapshotDiff(current, snapshot);
		await send({
			type: 'diff',
			snapshot: outline(snapshot),
			links: links(current, snapshot),
			diff: explained(diff, current, snapshot),
		});

		const answer = await receive();

		if (answer.type === 'apply') {
			let leaveOut = answer.leaveOut;
			const plan = {};
			// Directus changes the diff while it works, and starts over with it after a deadlock.
			const fill = (chosen) => {
				leaveOut = chosen;
				Object.assign(plan, structuredClone(without(diff, chosen)));
			};
			fill(leaveOut);
			const on = answer.hold.length > 0 ? holding(database, answer.hold, fill) : database;
			await applySnapshot(snapshot, { current, diff: plan, database: on });
			// The same sum before and after: nobody has changed the schema while this looked.
			const before = await fingerprint(database, answer.fingerprint);
			const remaining = getSnapshotDiff(await getSnapshot({ database }), snapshot);
			const sealed = before !== null && before === (await fingerprint(database, answer.fingerprint)) ? before : null;
			await send({ type: 'applied', remaining: without(remaining, leaveOut), sealed });
		}
	} catch (error) {
		if (!(error instanceof Left)) await fail('apply', error);
	}
	await database.destroy();
}

while (true) {
	const { type, snapshot } = await receive();
	try {
		await (type === 'bootstrap' ? bootstrap() : schema(snapshot));
	} catch (error) {
		// As the CLI itself tells it.
		console.error(error);
		process.exit(1);
	}
	await send({ type: 'done' });
}
