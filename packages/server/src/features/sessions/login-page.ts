/**
 * The page that logs in for clients that do not know the server's kinds of login.
 *
 * Spec: client-server API, "Login Fallback".
 */
import { htmlPage } from '#platform/http/html-page.ts'
import type { RawReply } from '#platform/http/reply.ts'

const body = `<noscript><p role="alert">This page needs JavaScript; allow it, or use another client.</p></noscript>
<p id="message" role="status"></p>
<form id="password" hidden>
<p><label>User name <input id="user" autocomplete="username" autocapitalize="none" spellcheck="false" required></label></p>
<p><label>Password <input id="secret" type="password" autocomplete="current-password" required></label></p>
<button>Log in</button>
</form>
<p id="providers"></p>`

/** A client sets `window.matrixLogin.onLogin`, also after the page was read, and is given the answer of the login. */
const script = `{
window.matrixLogin = window.matrixLogin || {};
const root = location.pathname.split('/_matrix/static/')[0] + '/_matrix/client/v3';
const query = new URLSearchParams(location.search);
const element = (id) => document.getElementById(id);
const say = (text) => { element('message').textContent = text };
const wishes = {};
for (const name of ['device_id', 'initial_device_display_name']) if (query.has(name)) wishes[name] = query.get(name);
if (query.has('refresh_token')) wishes.refresh_token = query.get('refresh_token') === 'true';
const ask = async (path, init) => {
  const reply = await fetch(root + path, init);
  const answer = await reply.json();
  if (!reply.ok) throw new Error(answer.error);
  return answer;
};
const login = async (credentials) => {
  say('Logging in…');
  try {
    const response = await ask('/login', { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ ...wishes, ...credentials }) });
    element('password').hidden = true;
    element('providers').hidden = true;
    say('You are logged in as ' + response.user_id + '. You can close this window now and return to your client.');
    if (window.matrixLogin.onLogin) window.matrixLogin.onLogin(response);
  } catch (error) {
    say('This did not work: ' + error.message);
  }
};
const identifier = (user) => /^[^@]+@/.test(user) ? { type: 'm.id.thirdparty', medium: 'email', address: user } : { type: 'm.id.user', user };
element('password').addEventListener('submit', (event) => {
  event.preventDefault();
  void login({ type: 'm.login.password', identifier: identifier(element('user').value.trim()), password: element('secret').value });
});
const offer = (flows) => {
  const back = new URL(location.href);
  back.searchParams.delete('loginToken');
  element('password').hidden = !flows.some((flow) => flow.type === 'm.login.password');
  const sso = flows.find((flow) => flow.type === 'm.login.sso');
  for (const provider of sso ? (sso.identity_providers || [{ name: 'single sign-on' }]) : []) {
    const link = document.createElement('a');
    link.href = root + '/login/sso/redirect' + (provider.id ? '/' + encodeURIComponent(provider.id) : '') + '?redirectUrl=' + encodeURIComponent(back.href);
    link.textContent = 'Continue with ' + provider.name;
    element('providers').append(link, document.createElement('br'));
  }
  if (element('password').hidden && !sso) say('This server offers no login that works on a page.');
};
const token = query.get('loginToken');
if (token !== null) {
  const clean = new URL(location.href);
  clean.searchParams.delete('loginToken');
  history.replaceState(null, '', clean);
}
if (token === null) ask('/login').then(({ flows }) => offer(flows)).catch((error) => say('The server gave no answer: ' + error.message));
else void login({ type: 'm.login.token', token });
}`

/** The page. */
export function loginPage(): RawReply {
  return htmlPage({ title: 'Log in', body, script, sources: { 'connect-src': ["'self'"] } })
}
