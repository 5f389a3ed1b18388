// What the official image starts pm2-runtime with: one app that says when it is ready, in cluster mode, not restarted
// unless PM2_AUTO_RESTART says so. The benchmarks name another program by BENCHMARK_PROGRAM (a JSON list).
'use strict';

const { env } = process;
const [script, ...args] = JSON.parse(env.BENCHMARK_PROGRAM ?? JSON.stringify([env.DIRECTUS_CLI, 'start']));
const isDirectus = env.BENCHMARK_PROGRAM === undefined;

module.exports = {
	apps: [
		{
			name: 'directus',
			script,
			args,
			interpreter: isDirectus ? undefined : 'none',
			instances: env.PM2_INSTANCES ?? '1',
			exec_mode: isDirectus ? (env.PM2_EXEC_MODE ?? 'cluster') : 'fork',
			max_memory_restart: env.PM2_MAX_MEMORY_RESTART,
			min_uptime: env.PM2_MIN_UPTIME,
			listen_timeout: env.PM2_LISTEN_TIMEOUT,
			kill_timeout: env.PM2_KILL_TIMEOUT,
			wait_ready: isDirectus,
			max_restarts: env.PM2_MAX_RESTARTS,
			restart_delay: env.PM2_RESTART_DELAY ?? 0,
			autorestart: env.PM2_AUTO_RESTART === 'true',
		},
	],
};
