/** The pages of the server in a real browser, under their Content Security Policy. */
import assert from 'node:assert/strict'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { test, type TestContext } from 'node:test'
import { isObject } from '@myelin/protocol/json/json.ts'
import type { Page } from 'playwright-core'
import { openBrowser } from '../kit/browser.ts'
import { within } from '../kit/deadline.ts'
import { testServer } from '../kit/test-server.ts'

/** Waits for a text on the page. A function that the page would have to look at again and again is beyond its policy. */
function shown(page: Page, text: RegExp): Promise<void> {
  return within(`${String(text)} in the browser`, page.getByText(text).waitFor())
}

/** Takes the place of the client around the page, which calls `name`. */
async function listen(page: Page, name: string): Promise<{ readonly told: Promise<unknown> }> {
  const { promise: told, resolve } = Promise.withResolvers<unknown>()
  await page.exposeFunction(name, resolve)
  return { told }
}

/** A server with a policy that has to be agreed to. */
async function policyServer(t: TestContext) {
  const folder = mkdtempSync(join(tmpdir(), 'myelin-policy-'))
  t.after(() => rmSync(folder, { recursive: true, force: true }))
  mkdirSync(join(folder, 'en'))
  const form = '<form method="post" action="consent"><input type="hidden" name="v" value="{{version}}"><input type="hidden" name="u" value="{{user}}"><input type="hidden" name="h" value="{{userhmac}}"><button>Yes</button></form>'
  writeFileSync(join(folder, 'en', '1.html'), `Be kind.{% if not public_version %}${form}{% endif %}`)
  return testServer(t, { config: `user_consent: {template_dir: "${folder}", version: 1, require_at_registration: true, block_events_error: x}\n` })
}

test('the login page logs in with a password, as the device that the client asks for', async (t) => {
  const server = await testServer(t)
  await server.register('alice')
  const page = await openBrowser(t, `${server.url}/_matrix/static/client/login/?device_id=PHONE&initial_device_display_name=A+phone&refresh_token=true&password=x`)
  const { told } = await listen(page, 'given')
  await page.addInitScript('window.matrixLogin = { onLogin: (response) => globalThis.given(response) }')
  await page.reload()
  await page.fill('#user', 'alice')
  await page.fill('#secret', 'wrong')
  await page.click('button')
  await shown(page, /did not work/)
  await page.fill('#secret', 'password-of-alice')
  await page.click('button')
  const given = await within('the login in the browser', told)
  assert.ok(isObject(given))
  assert.deepEqual([given['user_id'], given['device_id'], typeof given['refresh_token']], ['@alice:test.example', 'PHONE', 'string'])
  const alice = server.anonymous().withToken(String(given['access_token']))
  assert.equal((await alice.get('/devices/PHONE').ok())['display_name'], 'A phone')
})

test('the login page takes a login token out of its address, also without a slash at the end', async (t) => {
  const server = await testServer(t, { config: 'login_via_existing_session: {enabled: true, require_ui_auth: false}\n' })
  const alice = await server.register('alice')
  const token = String((await alice.post('/_matrix/client/v1/login/get_token', {}).ok())['login_token'])
  const page = await openBrowser(t, `${server.url}/_matrix/static/client/login?loginToken=${token}&device_id=TV`)
  await shown(page, /logged in as @alice:test.example/)
  assert.equal(new URL(page.url()).search, '?device_id=TV')
  assert.equal((await alice.get('/devices/TV').ok())['device_id'], 'TV')
})

test('a browser agrees to the policy: for its user, and in the stage of registration, which tells the client', async (t) => {
  const server = await policyServer(t)
  const nobody = server.anonymous()
  const body = { username: 'alice', password: 'password-of-alice' }
  const session = String((await nobody.post('/register', body)).body['session'])
  const page = await openBrowser(t, `${server.url}/_matrix/client/v3/auth/m.login.terms/fallback/web?session=${session}`)
  const { told } = await listen(page, 'onAuthDone')
  await page.click('button')
  await within('the end of the stage in the browser', told)
  await nobody.post('/register', { ...body, auth: { session } }).ok()

  const bob = await server.admin('bob')
  const { consent_uri: uri } = await bob.post('/createRoom', {}).fails(403, 'M_CONSENT_NOT_GIVEN')
  await page.goto(String(uri).replace('https://test.example', server.url))
  await page.click('button')
  await shown(page, /agreed to version 1/)
  await bob.post('/createRoom', {}).ok()
})
