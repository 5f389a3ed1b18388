// Loaded by Node before anything of Directus (`--import`). What it is to do stands in DIRECTUS_SUPERVISOR_NODE, as JSON:
//   cache  the folder in which Node keeps compiled code, or null; NODE_COMPILE_CACHE goes before it
//   wait   a module to load at once, whereupon everything waits for a message; or null
//   leash  whether the process is to end when its supervisor is gone, and with it the migration lock
//
// What starts Directus ahead of time loads its modules, which is most of a start and touches no database, and begins
// with its own work when the supervisor says so.

import * as nodeModule from 'node:module';
import { pathToFileURL } from 'node:url';

// Directus ends by a signal, where Node writes no cache; the first time it takes some tenths of a second.
const FLUSH_AFTER_MS = 15_000;

async function wait(module) {
	let told = false;
	const word = new Promise((resolve) => process.once('message', resolve)).then(() => (told = true));
	// What is wrong with it shows again, and is told, where Directus loads it itself.
	await import(pathToFileURL(module).href).catch(() => {});
	if (!told) nodeModule.flushCompileCache?.();
	await word;
}

const { DIRECTUS_SUPERVISOR_NODE: task } = process.env;
if (task) {
	// Not for the workers and the children of Directus.
	delete process.env.DIRECTUS_SUPERVISOR_NODE;
	const { cache, wait: module, leash } = JSON.parse(task);
	if (cache && !process.env.NODE_COMPILE_CACHE) nodeModule.enableCompileCache?.(cache);
	const end = () => process.exit(1);
	if (leash || module) process.once('disconnect', end);
	if (module) await wait(module);
	if (leash) {
		// The listener alone keeps no command from ending.
		process.channel?.unref();
	} else {
		process.off('disconnect', end);
		setTimeout(() => nodeModule.flushCompileCache?.(), FLUSH_AFTER_MS).unref();
	}
}
