// Fills the folder of Node's compile cache: loads what a boot and Directus itself load, starts nothing of it, and writes
// what was compiled. Connects to nothing: its environment says nothing of a database or a Redis.
//
// usage: node --import ahead.mjs compile.mjs API_FOLDER MARK [ANSWER]
//   MARK    name of the file that says that the folder is filled; it holds some code, compiled
//   ANSWER  descriptor that one JSON object is written to: {folder, files, bytes, written}, or {failure: SENTENCE}.
//           Without one it works beside a Directus that serves, and gives way to it.

import * as fs from 'node:fs';
import * as nodeModule from 'node:module';
import { setPriority } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { probe } from './ahead.mjs';

const LOWEST_PRIORITY = 19;
const ROOT = 0;

const [api, mark, answerTo] = process.argv.slice(2);
const isMark = (name) => name.startsWith('filled-');
const load = (...path) => import(pathToFileURL(join(api, 'dist', ...path)).href);

function end(message) {
	if (answerTo) fs.writeSync(Number(answerTo), JSON.stringify(message));
	else if (message.failure) console.error(message.failure);
	process.exit(message.failure ? 1 : 0);
}

function attempt(action, ...details) {
	try {
		return action(...details);
	} catch {
		return undefined;
	}
}

async function loadAll() {
	// The server and every command; the modules of the worker are among theirs in the versions that are known.
	await load('cli', 'index.js');
	for (const module of ['get-snapshot.js', 'get-snapshot-diff.js', 'apply-snapshot.js']) {
		await load('utils', module).catch(() => {});
	}
	// What is loaded only once there is a database.
	for (const operation of attempt(fs.readdirSync, join(api, 'dist', 'operations')) ?? []) {
		await load('operations', operation, 'index.js').catch(() => {});
	}
	const require = nodeModule.createRequire(join(api, 'package.json'));
	for (const module of ['pg', 'knex/lib/dialects/postgres/index.js']) attempt(require, module);
}

function entries(folder) {
	const known = new Map();
	for (const name of fs.readdirSync(folder)) {
		const { size, mtimeMs } = fs.lstatSync(join(folder, name));
		if (!isMark(name)) known.set(name, { size, mtimeMs });
	}
	return known;
}

function putMark(folder) {
	const marks = fs.readdirSync(folder).filter(isMark);
	if (!marks.includes(mark)) {
		const temporary = join(folder, `new-${mark}-${process.pid}`);
		fs.writeFileSync(temporary, probe(), { mode: 0o600, flush: true });
		fs.renameSync(temporary, join(folder, mark));
	}
	// Those of another Directus at this place: its code has made way for this one's.
	for (const name of marks) if (name !== mark) fs.unlinkSync(join(folder, name));
}

// Node makes its files for their user alone; what root fills is for all.
function openToReaders(folder) {
	fs.chmodSync(folder, 0o755);
	for (const name of fs.readdirSync(folder)) {
		const path = join(folder, name);
		if ((fs.lstatSync(path).mode & 0o777) !== 0o644) fs.chmodSync(path, 0o644);
	}
}

async function fill() {
	if (!nodeModule.enableCompileCache) {
		return { failure: `Node.js ${process.version} keeps no compiled code; it does from 22.8 on` };
	}
	if (!answerTo) setPriority(LOWEST_PRIORITY);
	const folder = nodeModule.getCompileCacheDir();
	if (!folder) return { failure: 'Node.js does not use the folder (see NODE_DISABLE_COMPILE_CACHE)' };
	const before = entries(folder);
	try {
		await loadAll();
	} catch (error) {
		return { failure: `Directus' modules cannot be loaded: ${error?.message ?? error}` };
	}
	// Node 22.8 and 22.9 write it at their end alone.
	nodeModule.flushCompileCache?.();
	// Node does not notice when only a part of a file could be written.
	if (fs.statfsSync(folder).bavail === 0) return { failure: `no space is left on the device of ${folder}` };
	putMark(folder);
	if (process.getuid() === ROOT) openToReaders(folder);
	const after = entries(folder);
	let [bytes, written] = [0, 0];
	for (const [name, { size, mtimeMs }] of after) {
		const old = before.get(name);
		bytes += size;
		if (old?.size !== size || old?.mtimeMs !== mtimeMs) written += 1;
	}
	return { folder, files: after.size, bytes, written };
}

end(await fill().catch((error) => ({ failure: error.message })));
