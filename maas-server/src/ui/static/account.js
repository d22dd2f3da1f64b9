// The signed-in user's API keys and SSH keys; for administrators, all users.

import { read, readOr, remove, send } from './api.js';
import { form, h, section, table } from './dom.js';
import { attempt, isAdmin, session } from './session.js';

function apiKeys(keys) {
  return section('API keys',
    table(['Name', 'Key', ''], keys.map(({ name, token }) => [
      name, h('details', { id: `key-${token.split(':')[1]}` }, h('summary', {}, 'Show'), h('code', {}, token)),
      h('button', {
        class: 'danger', onclick: () => {
          if (window.confirm('Delete this key? Whoever uses it is locked out.')) {
            attempt(() => send('account/?op=delete_authorisation_token', [['token_key', token.split(':')[1]]]));
          }
        },
      }, 'Delete'),
    ]), 'None.'),
    h('p', {}, h('button', { onclick: () => attempt(() => send('account/?op=create_authorisation_token')) }, 'Make a new key')));
}

function sshKeys(keys) {
  return section('SSH keys',
    h('p', { class: 'faint' }, 'They are installed on every machine that you deploy.'),
    table(['Key', ''], keys.map(key => [
      h('code', {}, key.key.length > 96 ? `${key.key.slice(0, 60)}…${key.key.slice(-30)}` : key.key),
      h('button', { class: 'danger', onclick: () => attempt(() => remove(`account/prefs/sshkeys/${key.id}/`)) }, 'Delete'),
    ]), 'None: nobody could log in to what you deploy.'),
    h('p', {}),
    form([{ name: 'key', label: 'Public key', kind: 'textarea', rows: 2, required: true, class: 'mono' }],
      'Add', pairs => attempt(() => send('account/prefs/sshkeys/', pairs))));
}

function users(all) {
  return section('Users',
    table(['Name', 'Mail', 'Role', ''], all.map(user => [
      user.username, user.email, user.is_superuser ? 'administrator' : 'user',
      user.username !== session.user.username && h('button', {
        class: 'danger', onclick: () => {
          if (window.confirm(`Delete ${user.username}?`)) attempt(() => remove(`users/${encodeURIComponent(user.username)}/`));
        },
      }, 'Delete'),
    ]), 'None.'),
    h('details', { id: 'add-user' }, h('summary', {}, 'Add a user'), form([
      { name: 'username', label: 'User name', required: true, autocomplete: 'off' },
      { name: 'email', label: 'Mail', type: 'email', required: true },
      { name: 'password', label: 'Password', type: 'password', required: true, autocomplete: 'new-password' },
      { name: 'is_superuser', label: 'Role', choices: [['0', 'user'], ['1', 'administrator']] },
    ], 'Add', pairs => attempt(() => send('users/', pairs)))));
}

export async function account() {
  const [keys, ssh, all] = await Promise.all([
    readOr('account/?op=list_authorisation_tokens', []),
    read('account/prefs/sshkeys/'),
    isAdmin() ? read('users/') : [],
  ]);
  return [h('h1', {}, session.user.username), apiKeys(keys), sshKeys(ssh), isAdmin() && users(all)];
}
