// Small charts as SVG, without a library.
const SVG = 'http://www.w3.org/2000/svg';

export function svg(name, attributes = {}, ...children) {
	const element = document.createElementNS(SVG, name);
	for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
	element.append(...children);
	return element;
}

// A curve over time of samples, each a time in milliseconds and a value; null is a gap at the start.
export function chart(label, samples, least) {
	const known = samples.filter(([, value]) => value !== null);
	const top = Math.max(least, ...known.map(([, value]) => value)) * 1.15;
	const first = samples[0]?.[0] ?? 0;
	const step = 100 / Math.max((samples.at(-1)?.[0] ?? 0) - first, 1);
	const points = known.map(([at, value]) => [((at - first) * step).toFixed(2), (40 - (value / top) * 38).toFixed(2)]);
	const picture = svg('svg', { viewBox: '0 0 100 40', preserveAspectRatio: 'none', role: 'img', 'aria-label': label });
	if (points.length > 1) {
		const line = points.map((point) => point.join(',')).join(' ');
		picture.append(
			svg('polygon', { class: 'area', points: `${points[0][0]},40 ${line} ${points.at(-1)[0]},40` }),
			svg('polyline', { class: 'curve', points: line }),
		);
	}
	return picture;
}

// When a phase ran within the whole boot.
export function bar(label, start, length, whole) {
	const scale = 100 / Math.max(whole, 0.001);
	const width = Math.max(length * scale, 0.8);
	return svg(
		'svg',
		{ viewBox: '0 0 100 6', preserveAspectRatio: 'none', role: 'img', 'aria-label': label },
		svg('rect', { class: 'track', width: 100, height: 6, rx: 1 }),
		svg('rect', { class: 'span', x: Math.min(start * scale, 100 - width), width, height: 6, rx: 1 }),
	);
}
