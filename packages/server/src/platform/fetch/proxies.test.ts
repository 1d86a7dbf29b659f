/** The choice of a proxy. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Proxies, proxySettingsOf } from './proxies.ts'

test('reads the environment in both cases', () => {
  assert.deepEqual(proxySettingsOf({ http_proxy: 'a:1', HTTPS_PROXY: 'http://b:2', NO_PROXY: 'x, .y ,' }), {
    httpProxy: 'a:1', httpsProxy: 'http://b:2', noProxy: ['x', '.y'],
  })
  assert.deepEqual(proxySettingsOf({ http_proxy: '' }), { httpProxy: undefined, httpsProxy: undefined, noProxy: [] })
})

test('chooses by scheme and exceptions', () => {
  const proxies = new Proxies({ httpProxy: 'a:1', httpsProxy: 'https://b:2', noProxy: ['direct.org', '.dot.org', '10.0.0.0/8', 'port.org:8448', '::1'] })
  const proxy = (url: string): string | undefined => proxies.proxyFor(new URL(url))
  assert.equal(proxy('http://x.org/'), 'http://a:1')
  assert.equal(proxy('https://x.org/'), 'https://b:2')
  for (const url of ['http://direct.org', 'http://sub.DIRECT.org.', 'https://dot.org', 'http://10.9.9.9', 'https://port.org:8448', 'http://[::1]:99']) {
    assert.equal(proxy(url), undefined, url)
  }
  assert.equal(proxy('https://port.org'), 'https://b:2')
  assert.equal(proxy('http://notdirect.org'), 'http://a:1')
  assert.equal(new Proxies({ httpProxy: 'a:1', httpsProxy: undefined, noProxy: ['*'] }).proxyFor(new URL('http://x')), undefined)
})
