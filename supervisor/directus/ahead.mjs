// Loaded by Node before anything of Directus (`--import`). What it is to do stands in DIRECTUS_SUPERVISOR_NODE, as JSON:
//   cache      the folder in which Node keeps compiled code, or null; NODE_COMPILE_CACHE goes before it
//   filled     folders with compiled code that can only be read, as an image brings them; the best first
//   mark       name of the file by which a folder is known to be filled with all of this Directus
//   beside     whether somebody else fills the cache when this process tells that it is not filled
//   settle_ms  when it tells that, or writes what is missing: milliseconds after it has begun with its own work
//   wait       a module to load at once, whereupon everything waits for a message; or null
//   leash      whether the process is to end when its supervisor is gone, and with it the migration lock
//
// What starts Directus ahead of time loads its modules, which is most of a start and touches no database, and begins
// with its own work when the supervisor says so.

import {
	existsSync, mkdirSync, readFileSync, readdirSync, readlinkSync, rmdirSync, symlinkSync, unlinkSync,
} from 'node:fs';
import * as nodeModule from 'node:module';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { Script } from 'node:vm';

const PROBE = '(function probe(number) { return number + 1; })';

// What a mark holds: some code, compiled.
export const probe = () => new Script(PROBE, { filename: 'probe' }).createCachedData();

// V8's own word on whether it takes such code here. Node's folders are also named by the kind of the processor, which the
// code does not depend on, so a folder for another name may do; one made with other flags of V8 does not.
function accepts(mark) {
	try {
		return !new Script(PROBE, { filename: 'probe', cachedData: readFileSync(mark) }).cachedDataRejected;
	} catch {
		return false;
	}
}

function linkedFrom(folder) {
	try {
		return readlinkSync(folder);
	} catch {
		return null;
	}
}

function attempt(action, ...details) {
	try {
		return action(...details);
	} catch {
		// Another process of ours may do the same now; what counts is how it looks afterwards.
		return undefined;
	}
}

// 'linked': all is read from a folder that nothing is written to; 'own': the user's own folder has all; 'unfilled'.
function keepCode(cache, filled, mark) {
	// With a link that leads nowhere, as after a change of the image, Node would keep nothing.
	for (const name of attempt(readdirSync, cache) ?? []) {
		const path = join(cache, name);
		if (linkedFrom(path) !== null && !existsSync(path)) attempt(unlinkSync, path);
	}
	nodeModule.enableCompileCache?.(cache);
	// Node makes one in it for its version, for the processor and the user.
	const folder = nodeModule.getCompileCacheDir?.();
	if (!folder) return null;
	const fitting = filled.find((other) => accepts(join(other, mark))) ?? null;
	const link = linkedFrom(folder);
	if (link !== null && link !== fitting) {
		attempt(unlinkSync, folder);
		attempt(mkdirSync, folder, { mode: 0o700 });
	}
	if (linkedFrom(folder) === null && existsSync(join(folder, mark))) return 'own';
	if (fitting !== null) {
		// Succeeds while it is empty.
		attempt(rmdirSync, folder);
		attempt(symlinkSync, fitting, folder);
		if (linkedFrom(folder) === fitting) return 'linked';
	}
	return 'unfilled';
}

async function wait(module, flush) {
	let told = false;
	const word = new Promise((resolve) => process.once('message', resolve)).then(() => (told = true));
	// What is wrong with it shows again, and is told, where Directus loads it itself.
	await import(pathToFileURL(module).href).catch(() => {});
	if (!told) flush();
	await word;
}

const { DIRECTUS_SUPERVISOR_NODE: task } = process.env;
if (task) {
	// Not for the workers and the children of Directus.
	delete process.env.DIRECTUS_SUPERVISOR_NODE;
	const { cache, filled, mark, beside, settle_ms, wait: module, leash } = JSON.parse(task);
	const kept = cache && !process.env.NODE_COMPILE_CACHE ? keepCode(cache, filled, mark) : null;
	const end = () => process.exit(1);
	if (leash || module) process.once('disconnect', end);
	const flush = () => {
		if (kept !== 'linked') nodeModule.flushCompileCache?.();
	};
	if (module) await wait(module, beside ? () => {} : flush);
	if (leash) {
		// The listener alone keeps no command from ending.
		process.channel?.unref();
	} else {
		process.off('disconnect', end);
		const settle = () => {
			// To write all of it takes a second and more, in which Directus would answer nobody.
			if (kept === 'unfilled' && beside && process.connected) process.send({ type: 'unfilled' }, () => {});
			else flush();
		};
		setTimeout(settle, settle_ms).unref();
	}
}
