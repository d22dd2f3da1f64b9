// All machines, and adding one by hand.

import { read, readOr, send } from './api.js';
import { badge, bytes, form, h, section, table } from './dom.js';
import { attempt, isAdmin } from './session.js';

let wanted = '';

function fits(machine) {
  const text = [
    machine.fqdn, machine.status_name, machine.owner, machine.architecture, machine.zone.name,
    machine.pool.name, machine.tag_names.join(' '),
    machine.interface_set.map(nic => nic.mac_address).join(' '),
  ].join(' ').toLowerCase();
  return wanted.toLowerCase().split(/\s+/).every(word => text.includes(word));
}

function row(machine) {
  return [
    h('a', { href: `#/machines/${machine.system_id}` }, machine.fqdn),
    h('span', {}, badge(machine.status_name), machine.locked ? ' locked' : ''),
    badge(machine.power_state),
    machine.owner ?? '',
    machine.architecture,
    { number: machine.cpu_count || '' },
    { number: machine.memory ? `${(machine.memory / 1024).toFixed(machine.memory % 1024 ? 1 : 0)} GiB` : '' },
    { number: machine.storage ? bytes(machine.storage * 1e6) : '' },
    machine.zone.name,
    machine.pool.name,
    h('span', { class: 'small' }, machine.tag_names.join(', ')),
  ];
}

const HEADS = [
  'Name', 'Status', 'Power', 'Owner', 'Architecture', { number: 'Cores' }, { number: 'Memory' },
  { number: 'Storage' }, 'Zone', 'Pool', 'Tags',
];

function listing(machines) {
  const body = h('div', {});
  const draw = () => body.replaceChildren(table(
    HEADS,
    machines.filter(fits).sort((one, other) => one.fqdn.localeCompare(other.fqdn)).map(row),
    machines.length
      ? 'No machine fits.'
      : 'No machine yet. Let one boot from the network, and it adds itself; or add one below.'));
  draw();
  const search = h('input', {
    type: 'search', placeholder: 'Name, status, owner, MAC address, tag…', 'aria-label': 'Filter', size: 36,
    oninput: event => { wanted = event.target.value; event.target.defaultValue = wanted; draw(); },
  });
  search.value = wanted;
  search.defaultValue = wanted;
  return section(null, h('p', {}, search), body);
}

// One driver's parameters, as `describe_power_types` names them.
function adding(drivers) {
  const field = h('div', {});
  const names = drivers.map(driver => [driver.name, driver.description ?? driver.name]);
  let driver = drivers[0];
  const draw = () => field.replaceChildren(form([
    { name: 'mac_addresses', label: 'MAC address', required: true, placeholder: '52:54:00:12:34:56' },
    { name: 'hostname', label: 'Host name', placeholder: 'chosen when left empty' },
    { name: 'architecture', label: 'Architecture', choices: ['amd64/generic', 'arm64/generic', 'ppc64el/generic', 's390x/generic'].map(one => [one, one]) },
    {
      name: 'power_type', label: 'Power', choices: names, selected: driver?.name,
      onchange: event => { driver = drivers.find(one => one.name === event.target.value); draw(); },
    },
    ...(driver?.fields ?? []).map(one => ({
      name: `power_parameters_${one.name}`, label: one.label || one.name, required: one.required,
      type: one.secret || one.field_type === 'password' ? 'password' : 'text', autocomplete: 'off',
    })),
    { name: 'commission', label: 'Commission at once', choices: [['true', 'yes'], ['false', 'no']] },
  ], 'Add the machine', pairs => attempt(() => send('machines/', pairs))));
  draw();
  return h('section', {}, h('details', { id: 'add' }, h('summary', {}, 'Add a machine by hand'), field));
}

const PLAIN_DRIVERS = [
  { name: 'manual', description: 'by hand', fields: [] },
  {
    name: 'webhook', description: 'webhook',
    fields: [
      { name: 'power_on_uri', label: 'URL to switch on', required: true },
      { name: 'power_off_uri', label: 'URL to switch off', required: true },
      { name: 'power_query_uri', label: 'URL to ask', required: true },
    ],
  },
];

export async function machines() {
  const [all, drivers] = await Promise.all([
    read('machines/'),
    isAdmin() ? readOr('rackcontrollers/?op=describe_power_types', PLAIN_DRIVERS) : [],
  ]);
  const counts = {};
  for (const machine of all) counts[machine.status_name] = (counts[machine.status_name] ?? 0) + 1;
  return [
    h('h1', {}, 'Machines', Object.entries(counts).map(([status, count]) =>
      h('span', { class: 'small faint' }, `${count} ${status.toLowerCase()}`))),
    listing(all),
    isAdmin() && adding(drivers),
  ];
}
