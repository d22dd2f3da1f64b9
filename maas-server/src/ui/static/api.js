// The MAAS API 2.0 with the session's cookie.

const ROOT = '/MAAS/api/2.0/';

export class Refused extends Error {
  constructor(status, text) {
    super(text);
    this.status = status;
  }
}

async function call(method, path, pairs) {
  const request = { method, credentials: 'same-origin', headers: { Accept: 'application/json' } };
  if (pairs) request.body = new URLSearchParams(pairs);
  const reply = await fetch(ROOT + path, request);
  const text = await reply.text();
  if (!reply.ok) throw new Refused(reply.status, sentence(text) || `${reply.status} ${reply.statusText}`);
  return (reply.headers.get('Content-Type') ?? '').startsWith('application/json') ? JSON.parse(text) : text;
}

// What is wrong with a form comes as {"field": ["sentence", …]}.
function sentence(text) {
  try {
    const fields = JSON.parse(text);
    return Object.entries(fields)
      .map(([field, sentences]) => (field === '__all__' ? '' : `${field}: `) + [].concat(sentences).join(' '))
      .join('\n');
  } catch {
    return text;
  }
}

export const read = path => call('GET', path);
export const send = (path, pairs = []) => call('POST', path, pairs);
export const change = (path, pairs = []) => call('PUT', path, pairs);
export const remove = path => call('DELETE', path);

// What an ordinary user may not see, or an older server does not have, is shown as absent.
export async function readOr(path, otherwise) {
  try {
    return await read(path);
  } catch (error) {
    if (error instanceof Refused && [400, 403, 404].includes(error.status)) return otherwise;
    throw error;
  }
}

export async function signIn(username, password) {
  const reply = await fetch('/MAAS/accounts/login/', {
    method: 'POST', credentials: 'same-origin', body: new URLSearchParams({ username, password }),
  });
  if (!reply.ok) throw new Refused(reply.status, sentence(await reply.text()) || 'Wrong name or password.');
}

export const signOut = () =>
  fetch('/MAAS/accounts/logout/', { method: 'POST', credentials: 'same-origin' });
