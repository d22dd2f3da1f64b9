// Who is signed in, and what every page may use.

import { Refused } from './api.js';
import { h } from './dom.js';

export const session = { user: null };

export const isAdmin = () => session.user?.is_superuser === true;

const alertBox = () => document.getElementById('alert');

export function complain(error) {
  if (error instanceof Refused && error.status === 401) {
    session.user = null;
    window.dispatchEvent(new Event('signed-out'));
    return;
  }
  alertBox().replaceChildren(
    h('span', {}, error.message),
    h('button', { onclick: hush, 'aria-label': 'Close' }, '×'));
  alertBox().scrollIntoView({ block: 'nearest' });
}

export function hush() {
  alertBox().replaceChildren();
}

// Does something, then shows the page anew; a refusal is shown instead.
export async function attempt(work) {
  hush();
  try {
    await work();
    window.dispatchEvent(new Event('changed'));
  } catch (error) {
    complain(error);
  }
}
