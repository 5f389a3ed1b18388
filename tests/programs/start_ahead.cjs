// Starts a program of Node.js with a module before it and a channel, as the supervisor does, and tells how it ended.
// usage: node start_ahead.cjs AHEAD PROGRAM ENVIRONMENT; answers with {code, said: the messages, text: all output}
const { fork } = require('node:child_process');

const [ahead, program, environment] = process.argv.slice(2);
const child = fork(program, {
	stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
	execArgv: ['--import', ahead],
	env: JSON.parse(environment),
});
const said = [];
let text = '';
child.on('message', (message) => said.push(message));
for (const stream of [child.stdout, child.stderr]) stream.on('data', (data) => (text += data));
child.on('close', (code) => console.log(JSON.stringify({ code, said, text })));
