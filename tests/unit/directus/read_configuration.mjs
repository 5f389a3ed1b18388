// Reads configurations with the real Directus, knex and node-postgres: cases come in on stdin, answers go out on stdout.
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { pathToFileURL } from "node:url";

const { nodeModules, cases } = JSON.parse(readFileSync(0, "utf8"));
const require = createRequire(pathToFileURL(`${nodeModules}/`));
const envFile = pathToFileURL(`${nodeModules}/@directus/env/dist/index.js`).href;
const { resolveConfig } = require(`${nodeModules}/knex/lib/knex-builder/internal/config-resolver.js`);
const parametersFile = `${nodeModules}/pg/lib/connection-parameters.js`;
const defaultsFile = `${nodeModules}/pg/lib/defaults.js`;

const replaceEnvironment = (variables) => {
	for (const name of Object.keys(process.env)) delete process.env[name];
	for (const [name, value] of Object.entries(variables)) process.env[name] = value;
};

const plain = (_, value) => {
	if (typeof value === "number" && !Number.isFinite(value)) return { $number: String(value) };
	if (value instanceof RegExp) return { $regex: value.source };
	return value;
};

const tls = (ssl) => {
	if (!ssl) return null;
	if (ssl === true) return {};
	if (typeof ssl !== "object") return { unusable: true };
	const { ca, cert, key, passphrase, servername, rejectUnauthorized } = ssl;
	return { ca, cert, key, passphrase, servername, rejectUnauthorized };
};

replaceEnvironment({ NODE_ENV: "test", CONFIG_PATH: "/dev/null/none" });
// getConfigFromEnv holds on to the object that this returns, so each case replaces its content.
const shared = (await import(envFile)).useEnv();
const { getConfigFromEnv } = await import(pathToFileURL(`${nodeModules}/@directus/api/dist/utils/get-config-from-env.js`));

const answers = [];
for (const [index, { environ, cwd }] of cases.entries()) {
	process.chdir(cwd);
	replaceEnvironment(environ);
	const answer = {};
	answers.push(answer);
	try {
		const env = (await import(`${envFile}?case=${index}`)).useEnv();
		for (const name of Object.keys(shared)) delete shared[name];
		Object.assign(shared, env);
		answer.env = structuredClone(env); // lodash's `set` changes values in place later
	} catch (error) {
		answer.envError = String(error);
		continue;
	}
	try {
		const config = getConfigFromEnv("DB_", { omitPrefix: "DB_EXCLUDE_TABLES" });
		answer.config = structuredClone(config);
		const { client, searchPath, connectionString, pool, ...connection } = config;
		const { resolvedConfig } = resolveConfig({ client, connection: connectionString || connection });
		delete require.cache[defaultsFile];
		delete require.cache[parametersFile];
		const ConnectionParameters = require(parametersFile);
		const { user, database, host, port, password, options, ssl } = new ConnectionParameters(resolvedConfig.connection);
		answer.target = { user, database, host, port, password, options, ssl: tls(ssl), searchPath };
	} catch (error) {
		answer.targetError = String(error);
	}
}
process.stdout.write(JSON.stringify(answers, plain));
