// Boot sources, selections and boot resources.
//
// MAAS uses one boot source. With more than one enabled this page only warns, unless the operator
// has decided that the sources' priorities settle which image is taken.

import { read, readOr, remove, send } from './api.js';
import { badge, facts, form, h, section, table } from './dom.js';
import { attempt, isAdmin } from './session.js';

const MULTIPLE =
  'Several boot sources are enabled. An image may come from any of them, so images cannot be '
  + 'managed here. Disable all but one, or turn on the setting boot_source_priorities: then the '
  + 'source with the highest priority wins.';

function source(one, selections, locked) {
  const url = `boot-sources/${one.id}/`;
  return section(one.name || one.url,
    facts([
      ['URL', h('code', {}, one.url)],
      ['Keyring', one.skip_keyring_verification ? h('span', { class: 'bad' }, 'signatures are not checked') : one.keyring_filename || (one.keyring_data ? 'uploaded' : 'built in')],
      ['Priority', String(one.priority)],
      ['Enabled', one.enabled ? 'yes' : 'no'],
    ]),
    h('p', {}),
    table(['Operating system', 'Release', 'Architectures', 'Labels', ''], selections.map(selection => [
      selection.os, selection.release, selection.arches.join(', '), selection.labels.join(', '),
      !locked && h('button', {
        class: 'danger', onclick: () => {
          if (window.confirm(`Deselect ${selection.os}/${selection.release}? Its images are deleted.`)) {
            attempt(() => remove(`${url}selections/${selection.id}/`));
          }
        },
      }, 'Deselect'),
    ]), 'Nothing is selected: no image will be downloaded.'),
    !locked && h('details', { id: `select-${one.id}` }, h('summary', {}, 'Select another release'), form([
      { name: 'os', label: 'Operating system', value: 'ubuntu', required: true },
      { name: 'release', label: 'Release', placeholder: 'noble', required: true },
      { name: 'arches', label: 'Architecture', placeholder: 'amd64; all when left empty' },
    ], 'Select', pairs => attempt(() => send(`${url}selections/`, pairs)))));
}

function resources(all) {
  return section('Boot resources', table(
    ['Name', 'Title', 'Architecture', 'Kind', ''],
    all.map(one => [
      one.name, one.title, one.architecture, one.type,
      one.type === 'Uploaded' && isAdmin() && h('button', {
        class: 'danger', onclick: () => {
          if (window.confirm(`Delete ${one.name}?`)) attempt(() => remove(`boot-resources/${one.id}/`));
        },
      }, 'Delete'),
    ]), 'None is downloaded yet.'));
}

function upload() {
  return section('Custom images',
    h('p', {}, 'Pack, check and upload them with the command line:'),
    h('pre', {}, 'maas-server image pack DIRECTORY image.tar.zst\nmaas-server image lint image.tar.zst\nmaas-server image upload --url URL --apikey-file FILE custom/NAME amd64/generic image.tar.zst'));
}

export async function images() {
  const [all, importing] = await Promise.all([
    read('boot-resources/'), readOr('boot-resources/?op=is_importing', false),
  ]);
  const parts = [h('h1', {}, 'Images', importing && badge('Importing'))];
  if (isAdmin()) {
    const [sources, priorities] = await Promise.all([
      readOr('boot-sources/', []), readOr('maas/?op=get_config&name=boot_source_priorities', false),
    ]);
    const enabled = sources.filter(one => one.enabled).length;
    const locked = enabled > 1 && priorities !== true;
    if (locked) parts.push(h('section', { class: 'warning' }, h('h2', {}, 'More than one boot source'), h('p', {}, MULTIPLE)));
    const selections = await Promise.all(sources.map(one => readOr(`boot-sources/${one.id}/selections/`, [])));
    parts.push(...sources.map((one, index) => source(one, selections[index], locked)));
    if (sources.length === 0) parts.push(section('Boot sources', h('p', { class: 'faint' }, 'There is none. Images come from a boot source: a URL and the keyring that its publisher signs with.')));
    if (!locked) {
      parts.push(h('div', { class: 'buttons' }, h('button', {
        class: 'main', disabled: importing || enabled === 0,
        onclick: () => attempt(() => send('boot-resources/?op=import')),
      }, 'Synchronise now')), h('p', {}));
    }
  }
  parts.push(resources(all), upload());
  return parts;
}
