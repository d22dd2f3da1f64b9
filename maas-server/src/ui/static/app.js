// Routes, the bar on top and the regular look for news.

import { read, signIn, signOut, Refused } from './api.js';
import { h } from './dom.js';
import { complain, hush, session } from './session.js';
import { account } from './account.js';
import { images } from './images.js';
import { machine } from './machine.js';
import { machines } from './machines.js';

const NEWS_EVERY_MS = 2000;

const ROUTES = [
  [/^#\/machines\/?$/, machines],
  [/^#\/machines\/([a-z0-9]+)$/, machine],
  [/^#\/images$/, images],
  [/^#\/account$/, account],
];

const LINKS = [['#/machines', 'Machines'], ['#/images', 'Images'], ['#/account', 'Account']];

const page = document.getElementById('page');
const bar = document.getElementById('bar');
let shown = '';
let turn = 0;

function drawBar() {
  const brand = h('span', { class: 'brand' }, h('img', { src: './icon.svg', alt: '' }), 'MAAS');
  if (!session.user) {
    bar.replaceChildren(brand);
    return;
  }
  bar.replaceChildren(
    brand,
    h('nav', {}, LINKS.map(([link, text]) =>
      h('a', { href: link, 'aria-current': location.hash.startsWith(link) ? 'page' : null }, text))),
    h('span', { class: 'faint small' }, session.user.username),
    h('button', {
      onclick: async () => { await signOut(); session.user = null; await show(); },
    }, 'Sign out'));
}

function drawSignIn() {
  shown = '';
  const error = h('p', { class: 'bad', role: 'alert' });
  const entry = h('form', {
    onsubmit: async event => {
      event.preventDefault();
      const fields = new FormData(event.target);
      try {
        await signIn(fields.get('username'), fields.get('password'));
        session.user = await read('users/?op=whoami');
        await show();
      } catch (problem) {
        error.replaceChildren(problem.message);
      }
    },
  },
  h('label', { for: 'username' }, 'User name'),
  h('input', { id: 'username', name: 'username', autocomplete: 'username', required: true, autofocus: true }),
  h('label', { for: 'password' }, 'Password'),
  h('input', { id: 'password', name: 'password', type: 'password', autocomplete: 'current-password', required: true }),
  h('button', { class: 'main' }, 'Sign in'), error);
  page.replaceChildren(h('section', { class: 'sign-in' }, h('h1', {}, 'Sign in'), entry));
}

// A page that somebody is filling in is left alone.
function isBusy() {
  const active = document.activeElement;
  const typing = active && page.contains(active) && ['INPUT', 'SELECT', 'TEXTAREA'].includes(active.tagName);
  const filled = [...page.querySelectorAll('form input, form textarea')].some(input => input.value !== input.defaultValue);
  return typing || filled || String(window.getSelection()) !== '';
}

async function show({ news = false } = {}) {
  const mine = ++turn;
  drawBar();
  if (!session.user) {
    drawSignIn();
    return;
  }
  const route = ROUTES.find(([pattern]) => pattern.test(location.hash));
  if (!route) {
    location.hash = '#/machines';
    return;
  }
  try {
    const open = new Set([...page.querySelectorAll('details[open]')].map(one => one.id));
    const parts = await route[1](...location.hash.match(route[0]).slice(1));
    // Somebody has moved on while this was fetched.
    if (mine !== turn || (news && isBusy())) return;
    const next = h('main', {}, parts);
    for (const one of next.querySelectorAll('details')) one.open = open.has(one.id);
    if (next.textContent === shown && news) return;
    shown = next.textContent;
    page.replaceChildren(...next.childNodes);
  } catch (error) {
    if (mine === turn) complain(error);
  }
}

async function start() {
  try {
    session.user = await read('users/?op=whoami');
  } catch (error) {
    if (!(error instanceof Refused)) complain(error);
  }
  await show();
  setInterval(() => {
    if (session.user && !document.hidden && !isBusy()) show({ news: true });
  }, NEWS_EVERY_MS);
}

window.addEventListener('hashchange', () => { hush(); shown = ''; show(); });
window.addEventListener('changed', () => { shown = ''; show(); });
window.addEventListener('signed-out', () => show());
start();
