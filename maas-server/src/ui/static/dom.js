// Elements without markup in strings: text stays text.

export function h(tag, attributes, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith('on')) element.addEventListener(name.slice(2), value);
    else if (name === 'value') element.value = value;
    else element.setAttribute(name, value === true ? '' : value);
  }
  append(element, children);
  return element;
}

function append(element, children) {
  for (const child of children) {
    if (child === null || child === undefined || child === false) continue;
    if (Array.isArray(child)) append(element, child);
    else element.append(child);
  }
}

export function section(title, ...children) {
  return h('section', {}, title && h('h2', {}, title), ...children);
}

export function table(heads, rows, empty) {
  if (rows.length === 0) return h('p', { class: 'faint' }, empty);
  const cell = (tag, content) =>
    typeof content === 'number' || content?.number !== undefined
      ? h(tag, { class: 'number' }, String(content.number ?? content))
      : h(tag, {}, content);
  return h('table', {},
    h('thead', {}, h('tr', {}, heads.map(head => cell('th', head)))),
    h('tbody', {}, rows.map(row => h('tr', {}, row.map(content => cell('td', content ?? ''))))));
}

export function facts(pairs) {
  return h('dl', {}, pairs
    .filter(([, value]) => value !== null && value !== undefined && value !== '')
    .map(([name, value]) => [h('dt', {}, name), h('dd', {}, value)]));
}

// A form whose fields go to `send` as pairs.
export function form(fields, action, send) {
  const button = h('button', { class: 'main', type: 'submit' }, action);
  const rows = fields.map(field => {
    const { label, choices, kind, ...attributes } = field;
    const id = 'field-' + field.name;
    const input = choices
      ? h('select', { id, ...attributes }, choices.map(([value, text]) => h('option', { value, selected: value === field.selected }, text)))
      : h(kind ?? 'input', { id, ...attributes });
    return [h('label', { for: id }, label), input];
  });
  return h('form', {
    class: 'fields',
    onsubmit: async event => {
      event.preventDefault();
      button.disabled = true;
      try {
        await send([...new FormData(event.target)].filter(([, value]) => value !== ''));
      } finally {
        button.disabled = false;
      }
    },
  }, rows, h('div', { class: 'buttons' }, button));
}

export function bytes(count) {
  const units = ['B', 'kB', 'MB', 'GB', 'TB'];
  let value = count;
  let unit = 0;
  while (value >= 1000 && unit < units.length - 1) { value /= 1000; unit += 1; }
  return `${value >= 100 || unit === 0 ? value.toFixed(0) : value.toFixed(1)} ${units[unit]}`;
}

const TONES = {
  good: ['Ready', 'Deployed', 'Passed', 'on'],
  bad: ['Broken', 'Missing', 'Failed', 'error', 'Timed out', 'Degraded'],
  calm: ['New', 'Retired', 'off', 'unknown', 'Pending', 'Skipped', 'Aborted', 'Allocated', 'Reserved'],
};

export function badge(word) {
  const tone = /failed/i.test(word) ? 'bad'
    : Object.keys(TONES).find(tone => TONES[tone].includes(word)) ?? 'busy';
  return h('span', { class: `badge ${tone}` }, word);
}
