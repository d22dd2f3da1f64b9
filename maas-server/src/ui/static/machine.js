// One machine: what it is, what it does, what can be done with it.

import { read, readOr, remove, send } from './api.js';
import { badge, bytes, facts, form, h, section, table } from './dom.js';
import { attempt, isAdmin } from './session.js';

const NAMES = {
  commission: 'Commission', test: 'Test', allocate: 'Allocate', deploy: 'Deploy', release: 'Release',
  abort: 'Abort', mark_broken: 'Mark broken', mark_fixed: 'Mark fixed',
  override_failed_testing: 'Accept in spite of tests', rescue_mode: 'Rescue mode',
  exit_rescue_mode: 'Leave rescue mode', lock: 'Lock', unlock: 'Unlock',
  power_on: 'Power on', power_off: 'Power off',
};

const CAREFUL = ['release', 'abort', 'mark_broken', 'power_off'];

function commands(machine, possible) {
  const url = `machines/${machine.system_id}/`;
  const act = op => attempt(async () => {
    if (CAREFUL.includes(op) && !window.confirm(`${NAMES[op]} ${machine.hostname}?`)) return;
    if (op === 'allocate') await send('machines/?op=allocate', [['system_id', machine.system_id]]);
    else await send(`${url}?op=${op}`);
  });
  return section('What can be done', h('div', { class: 'buttons' },
    possible.filter(({ op }) => op !== 'deploy').map(({ op, refusal }) => h('button', {
      disabled: refusal !== null, title: refusal, onclick: () => act(op),
      class: CAREFUL.includes(op) ? 'danger' : null,
    }, NAMES[op] ?? op)),
    isAdmin() && h('button', {
      class: 'danger', onclick: () => {
        if (!window.confirm(`Delete ${machine.hostname}, its history and its results?`)) return;
        attempt(async () => { await remove(url); location.hash = '#/machines'; });
      },
    }, 'Delete')));
}

function deployment(machine, possible, resources) {
  const deploy = possible.find(({ op }) => op === 'deploy');
  if (!deploy || deploy.refusal !== null) return null;
  const arch = machine.architecture.split('/')[0];
  const names = [...new Set(resources
    .filter(resource => resource.architecture.startsWith(arch + '/') && !resource.name.startsWith('bootloader/'))
    .map(resource => resource.name))];
  if (names.length === 0) {
    return section('Deploy', h('p', {}, `No image for ${arch} is there yet. `, h('a', { href: '#/images' }, 'Select one.')));
  }
  const url = `machines/${machine.system_id}/`;
  const plan = h('div', {});
  const fields = [
    { name: 'distro_series', label: 'Image', choices: names.map(name => [name, name]) },
    { name: 'hwe_kernel', label: 'Kernel', placeholder: 'the image\'s own' },
    { name: 'user_data', label: 'cloud-init user data', kind: 'textarea', rows: 5, class: 'mono', spellcheck: 'false' },
    { name: 'ephemeral_deploy', label: 'Runs from', choices: [['false', 'disk'], ['true', 'memory']] },
  ];
  const entry = form(fields, 'Deploy', pairs => attempt(() => send(`${url}?op=deploy`, pairs)));
  entry.querySelector('.buttons').append(h('button', {
    type: 'button',
    onclick: () => attemptPreview(url, new FormData(entry), plan),
  }, 'Show the plan'));
  return section('Deploy', entry, plan);
}

async function attemptPreview(url, fields, place) {
  try {
    const query = new URLSearchParams([['op', 'preview'], ...[...fields].filter(([, value]) => value !== '')]);
    const plan = await read(`${url}?${query}`);
    place.replaceChildren(h('pre', {}, JSON.stringify(plan, null, 2)));
  } catch (error) {
    place.replaceChildren(h('pre', { class: 'bad' }, error.message));
  }
}

function hardware(machine) {
  const info = machine.hardware_info ?? {};
  const known = name => (info[name] && info[name] !== 'Unknown' ? info[name] : '');
  return section('Hardware', facts([
    ['System', [known('system_vendor'), known('system_product')].filter(Boolean).join(' ')],
    ['Serial', known('system_serial')],
    ['Processor', [machine.cpu_count && `${machine.cpu_count} ×`, known('cpu_model')].filter(Boolean).join(' ')],
    ['Memory', machine.memory ? `${machine.memory} MiB` : ''],
    ['Firmware', [known('mainboard_firmware_vendor'), known('mainboard_firmware_version'), machine.bios_boot_method].filter(Boolean).join(' ')],
    ['NUMA nodes', machine.numanode_set.length > 1 ? String(machine.numanode_set.length) : ''],
    ['UUID', machine.hardware_uuid],
  ]));
}

function network(machine) {
  const link = one => [one.mode, one.ip_address, one.subnet?.cidr].filter(Boolean).join(' ');
  return section('Network', table(
    ['Name', 'Type', 'MAC address', 'VLAN', 'Links'],
    machine.interface_set.map(nic => [
      nic.name, nic.type, h('span', { class: 'mono' }, nic.mac_address ?? ''),
      nic.vlan ? `${nic.vlan.fabric} ${nic.vlan.name}` : '', nic.links.map(link).join(', '),
    ]), 'No interface is known yet.'));
}

function storage(machine) {
  const use = part => part.filesystem?.mount_point
    ? `${part.filesystem.fstype} on ${part.filesystem.mount_point}` : part.used_for;
  const rows = machine.blockdevice_set.flatMap(disk => [
    [h('strong', {}, disk.name), disk.type, { number: bytes(disk.size) }, [disk.model, disk.serial].filter(Boolean).join(' '), use(disk)],
    ...disk.partitions.map(part => [`  ${part.path.split('/').pop()}`, 'partition', { number: bytes(part.size) }, '', use(part)]),
  ]);
  return section('Storage', table(['Name', 'Type', { number: 'Size' }, 'Model', 'Use'], rows, 'No disk is known yet.'));
}

function scripts(sets) {
  return sets.map(set => section(`${set.type_name} scripts`, table(
    ['Script', 'Result', { number: 'Exit' }, { number: 'Time' }],
    set.results.map(result => [
      result.name, badge(result.status_name), { number: result.exit_status ?? '' }, { number: result.runtime ?? '' },
    ]), 'None has run.')));
}

function failure(explained) {
  if (!explained?.failure) return null;
  const { failure: one } = explained;
  return h('section', { class: 'warning' }, h('h2', {}, 'Why it failed'),
    facts([
      ['Stage', one.stage], ['Command', one.command && h('code', {}, one.command)],
      ['Exit code', one.exit_code ?? ''], ['Hint', one.hint],
    ]),
    one.last_lines?.length ? h('pre', {}, one.last_lines.join('\n')) : null);
}

function history(events) {
  return section('History', table(
    ['When', 'What', 'By'],
    events.map(event => [
      h('span', { class: 'small faint' }, event.created),
      h('span', { class: ['ERROR', 'CRITICAL'].includes(event.level) ? 'bad' : null }, event.type + (event.description ? `: ${event.description}` : '')),
      event.username ?? '',
    ]), 'Nothing has happened yet.'));
}

export async function machine(systemId) {
  const url = `machines/${systemId}/`;
  const [one, possible, sets, events, resources, explained] = await Promise.all([
    read(url),
    readOr(`${url}?op=possible_actions`, []),
    readOr(`nodes/${systemId}/results/`, []),
    readOr(`events/?op=query&id=${systemId}&limit=30`, { events: [] }),
    readOr('boot-resources/', []),
    readOr(`${url}?op=explain`, null),
  ]);
  return [
    h('h1', {}, one.fqdn, badge(one.status_name), h('span', { class: 'small faint' }, `power ${one.power_state}`), one.locked && badge('Locked')),
    section(null, facts([
      ['State', one.status_message],
      ['Error', one.error_description && h('span', { class: 'bad' }, one.error_description)],
      ['Owner', one.owner],
      ['Image', one.osystem && `${one.osystem}/${one.distro_series}${one.hwe_kernel ? ` with ${one.hwe_kernel}` : ''}`],
      ['Addresses', one.ip_addresses.join(', ')],
      ['Architecture', one.architecture], ['Power driver', one.power_type],
      ['Zone and pool', `${one.zone.name}, ${one.pool.name}`],
      ['Tags', one.tag_names.join(', ')], ['Description', one.description],
      ['System id', h('code', {}, one.system_id)],
    ])),
    failure(explained),
    commands(one, possible),
    deployment(one, possible, resources),
    h('div', { class: 'columns' }, hardware(one), network(one)),
    storage(one),
    history(events.events),
    scripts(sets),
  ];
}
