import { bar, chart } from '/charts.js';

const WORDS = {
	starting: ['Starting', 'busy'],
	migrating: ['Booting', 'busy'],
	launching: ['Directus is starting', 'busy'],
	ready: ['Ready', 'good'],
	restarting: ['Directus is restarting', 'warn'],
	stopping: ['Stopping', 'warn'],
	stopped: ['Stopped', 'warn'],
	failed: ['Failed', 'bad'],
};
const TONES = { ready: 'good', running: 'good', starting: 'busy', given_up: 'bad', changed: 'busy' };
const LEVELS = ['debug', 'info', 'warning', 'error', 'critical'];
const KEPT = 500;
const byId = (id) => document.getElementById(id);
const lines = [];
let picture = null;
// How far the clock of the browser is from that of the supervisor, milliseconds.
let skew = 0;
let ended = false;

function make(tag, className, ...children) {
	const element = document.createElement(tag);
	if (className) element.className = className;
	element.append(...children);
	return element;
}

// Texts are only touched where they differ, so that nothing flickers and selections stay.
function say(id, text) {
	const element = byId(id);
	if (element.textContent !== text) element.textContent = text;
}

function replace(element, key, ...children) {
	if (element.dataset.key === key) return;
	element.dataset.key = key;
	element.replaceChildren(...children);
}

function seconds(value) {
	if (value === null) return '–';
	if (value < 10) return `${value.toFixed(2)} s`;
	if (value < 120) return `${value.toFixed(0)} s`;
	if (value < 7200) return `${Math.floor(value / 60)} min`;
	if (value < 172800) return `${Math.floor(value / 3600)} h ${Math.floor((value % 3600) / 60)} min`;
	return `${Math.floor(value / 86400)} days`;
}

const whole = (value) => (value < 10 ? `${Math.floor(value)} s` : seconds(Math.floor(value)));
const megabytes = (bytes) => (bytes === null ? '–' : `${(bytes / 1048576).toFixed(0)} MB`);
const since = (stamp) => Math.max((Date.now() - skew - Date.parse(stamp)) / 1000, 0);
const clock = (stamp) => new Date(stamp).toLocaleTimeString([], { hour12: false });
const total = (counts) => Object.values(counts).reduce((sum, count) => sum + count, 0);

function pill(text, tone) {
	const element = make('span', 'pill', text);
	element.dataset.tone = tone ?? '';
	return element;
}

function showState() {
	const { state, supervisor, processes } = picture;
	const [word, tone] = WORDS[state.name] ?? [state.name, 'busy'];
	const unwell = state.name === 'ready' && !state.ready;
	byId('state').dataset.tone = unwell ? 'warn' : tone;
	say('state-word', unwell ? 'Not ready' : word);
	const running = picture.boot.phases.find((phase) => phase.state === 'running');
	say('state-reason', state.name === 'migrating' && running ? `${title(running.name)} …` : sentence(state.reason));
	document.title = `${unwell ? 'Not ready' : word} · Directus supervisor`;
	const directus = processes.find((process) => process.name === 'directus');
	byId('reload').disabled = ended || !directus?.pid || !['ready', 'launching'].includes(state.name);
	say('fact-restarts', String(processes.reduce((sum, process) => sum + total(process.restarts), 0)));
	say('fact-directus', picture.directus_version ?? '–');
	say('version', `directus-supervisor ${supervisor.version} · Python ${supervisor.python} · ${megabytes(supervisor.memory_bytes)}`);
	showTimes();
}

function showTimes() {
	if (!picture || ended) return;
	say('fact-since', whole(since(picture.state.since)));
	say('fact-uptime', whole(since(picture.supervisor.started_at)));
}

const sentence = (text) => text.charAt(0).toUpperCase() + text.slice(1);
const title = (name) => sentence(name.replaceAll('_', ' '));

function showIncident() {
	const incident = picture.last_incident;
	const fatal = picture.state.name === 'failed';
	byId('incident').hidden = incident === null;
	if (incident === null) return;
	byId('incident').classList.toggle('fatal', fatal);
	say('incident-at', `at ${clock(incident.at)}`);
	say('incident-message', sentence(incident.message));
	say('incident-remedy', incident.remedy);
	const count = picture.incidents[incident.code];
	say('incident-code', count > 1 ? `${incident.code} × ${count}` : incident.code);
}

function showBoot() {
	const { boot } = picture;
	const parts = [];
	if (boot.result === 'finished') parts.push(`phases ${seconds(boot.duration_s)}`);
	if (boot.lock_wait_s > 0.5) parts.push(`waited ${seconds(boot.lock_wait_s)} for the lock`);
	if (boot.ready_after_s !== null) parts.push(`ready after ${seconds(boot.ready_after_s)}`);
	say('boot-summary', parts.join(' · '));
	const took = boot.duration_s ?? 0;
	// While something runs the bars grow; afterwards nothing is drawn anew.
	const rows = boot.phases.map((phase) => {
		const row = make('li', 'phase', make('span', 'mark'), make('span', 'name', title(phase.name)));
		row.dataset.state = phase.state;
		if (phase.outcome) row.children[1].append(pill(phase.outcome, TONES[phase.outcome]));
		else row.children[1].append(pill(phase.state, phase.state === 'failed' ? 'bad' : phase.state === 'running' ? 'busy' : ''));
		row.append(make('span', 'took', phase.duration_s === null ? '' : seconds(phase.duration_s)));
		const label = phase.duration_s === null ? 'not yet' : `from ${seconds(phase.offset_s)}, for ${seconds(phase.duration_s)}`;
		if (phase.offset_s !== null) row.append(bar(label, phase.offset_s, phase.duration_s, took));
		if (phase.summary) row.append(make('p', 'what', phase.summary));
		if (phase.details.length) row.append(make('ul', '', ...phase.details.map((text) => make('li', '', text))));
		return row;
	});
	replace(byId('timeline'), JSON.stringify(boot.phases) + took, ...rows);
}

function showProcesses() {
	const first = picture.processes.filter((process) => process.name === 'directus');
	const cards = [...first, ...picture.processes.filter((process) => process.name !== 'directus')].map((process) => {
		const restarts = Object.entries(process.restarts).map(([reason, count]) => `${reason.replaceAll('_', ' ')} × ${count}`);
		const facts = [];
		if (process.pid) facts.push(`pid ${process.pid}`);
		if (process.ready_after_s !== null) facts.push(`ready after ${seconds(process.ready_after_s)}`);
		facts.push(restarts.length ? `restarts: ${restarts.join(', ')}` : 'no restarts');
		const curve = (value) => process.history.map((sample) => [Date.parse(sample.at), value(sample)]);
		const memory = curve((sample) => sample.memory_bytes);
		const cpu = curve((sample) => sample.cpu_ratio);
		const now = process.history.at(-1)?.cpu_ratio ?? null;
		const used = process.pid === null ? null : process.memory_bytes;
		const percent = now === null || process.pid === null ? '–' : `${(now * 100).toFixed(0)} %`;
		const name = make('h3', '', process.name, pill(process.state.replaceAll('_', ' '), TONES[process.state] ?? 'warn'));
		const figure = (label, value, drawn) => make('div', 'chart', make('p', '', label, make('b', '', value)), drawn);
		return make(
			'div',
			'process',
			name,
			make('p', 'muted', facts.join(' · ')),
			make(
				'div',
				'charts',
				figure('Memory', megabytes(used), chart(`Memory of ${process.name}: ${megabytes(used)}`, memory, 16777216)),
				figure('Processor', percent, chart(`Processor of ${process.name}: ${percent}`, cpu, 0.2)),
			),
		);
	});
	if (cards.length) replace(byId('processes'), JSON.stringify(picture.processes), ...cards);
}

function showMigrations() {
	const { applied, applied_total: count, pending } = picture.migrations;
	const rows = [
		...pending.map((file) => make('li', '', make('span', '', file.file), make('span', '', `waits for ${file.extension}`))),
		...applied.map((file) => make('li', '', make('span', '', file.file), make('span', '', seconds(file.duration_s)))),
	];
	say('migrations-summary', `${count} applied by this boot${pending.length ? `, ${pending.length} pending` : ''}`);
	if (!rows.length) rows.push(make('li', 'muted', 'Nothing was to be applied.'));
	replace(byId('migrations'), JSON.stringify([applied, pending]), ...rows);
}

function showLog() {
	const select = byId('written-level');
	// Not under the hand of whoever is choosing.
	if (document.activeElement !== select) select.value = picture.log.level;
	select.disabled = ended;
}

function textOf(record) {
	if (record.message !== undefined && record.event === 'process.output') return record.message;
	const hidden = new Set([
		'timestamp', 'level', 'event', 'component', 'boot_id', 'seq', 'message', 'process', 'exception', 'last_lines', 'changed', 'postgres',
	]);
	if (record.pid === picture?.supervisor.pid) hidden.add('pid');
	const rest = Object.entries(record)
		.filter(([name]) => !hidden.has(name))
		.map(([name, value]) => `${name}=${typeof value === 'object' ? JSON.stringify(value) : value}`);
	return [record.event, record.message, ...rest].filter(Boolean).join('  ');
}

const who = (record) => record.process ?? record.component;

function isShown({ record, text }) {
	if (LEVELS.indexOf(record.level) < LEVELS.indexOf(byId('filter-level').value)) return false;
	const process = byId('filter-process').value;
	if (process && who(record) !== process) return false;
	return `${who(record)} ${text}`.toLowerCase().includes(byId('filter-text').value.toLowerCase());
}

function row({ record, text }) {
	const element = make('div', 'row', make('time', '', clock(record.timestamp)), make('span', 'level', record.level),
		make('span', 'who', who(record)), make('span', 'text', text));
	element.dataset.level = record.level;
	return element;
}

function drop(surplus) {
	for (const line of lines.splice(0, surplus)) line.element?.remove();
}

function add(fresh) {
	const shown = [];
	for (const { record } of fresh) {
		const line = { record, text: textOf(record) };
		if (isShown(line)) shown.push((line.element = row(line)));
		lines.push(line);
		knowProcess(who(record));
	}
	drop(lines.length - KEPT > 0 ? lines.length - KEPT : 0);
	const box = byId('lines');
	const before = box.scrollHeight;
	box.append(...shown.filter((element) => lines.some((line) => line.element === element)));
	if (byId('follow').checked) box.scrollTop = box.scrollHeight;
	else if (box.scrollHeight < before) box.scrollTop -= before - box.scrollHeight;
	count();
}

function count() {
	say('log-summary', `${byId('lines').childElementCount} of the latest ${lines.length} lines`);
}

function knowProcess(name) {
	const select = byId('filter-process');
	if ([...select.options].some((option) => option.value === name)) return;
	select.append(new Option(name, name));
}

function filter() {
	for (const line of lines) line.element = isShown(line) ? row(line) : undefined;
	byId('lines').replaceChildren(...lines.flatMap((line) => line.element ?? []));
	if (byId('follow').checked) byId('lines').scrollTop = byId('lines').scrollHeight;
	count();
}

function connected(on, text) {
	byId('live').dataset.on = on ? 'yes' : 'no';
	say('live-text', text);
}

function listen() {
	const events = new EventSource('/events');
	events.addEventListener('open', () => {
		ended = false;
		connected(true, 'Live');
	});
	events.addEventListener('picture', (event) => {
		const next = JSON.parse(event.data);
		if (picture && picture.supervisor.boot_id !== next.supervisor.boot_id) drop(lines.length);
		picture = next;
		skew = Date.now() - Date.parse(next.at);
		showState();
		showIncident();
		showBoot();
		showProcesses();
		showMigrations();
		showLog();
	});
	events.addEventListener('lines', (event) => add(JSON.parse(event.data)));
	events.addEventListener('error', () => {
		ended = true;
		byId('reload').disabled = true;
		byId('written-level').disabled = true;
		const last = picture ? `Offline since ${clock(picture.at)}` : 'Offline';
		connected(false, last);
		// A browser gives up for good on an answer that is not 200, such as after a restart with another token.
		if (events.readyState === EventSource.CLOSED) setTimeout(listen, 3000);
	});
}

byId('reload').addEventListener('click', () => byId('confirm').showModal());
byId('confirm').addEventListener('close', async () => {
	if (byId('confirm').returnValue !== 'yes') return;
	byId('confirm').returnValue = '';
	byId('reload').disabled = true;
	await fetch('/control/reload', { method: 'POST' }).catch(() => {});
});
byId('written-level').addEventListener('change', async () => {
	const body = new URLSearchParams({ level: byId('written-level').value });
	const answer = await fetch('/control/log-level', { method: 'POST', body }).catch(() => null);
	if (!answer?.ok) byId('written-level').value = picture.log.level;
});
for (const id of ['filter-level', 'filter-process', 'follow']) byId(id).addEventListener('change', filter);
byId('filter-text').addEventListener('input', filter);
setInterval(showTimes, 1000);
listen();
