import assert from 'node:assert/strict'
import { test } from 'node:test'
import { renderOptions } from './options-reference.ts'

test('the manual has a row for every option, also for those inside of others', () => {
  const page = renderOptions()
  assert.match(page, /^\| `server_name` \| string \|  \| yes \| Name of the server/m)
  assert.match(page, /^\| `listeners\[\]\.resources\[\]\.names` \| list of one of /m)
  assert.match(page, /^\| `rc_joins\.local` \| rate limit \| `\{"per_second":0\.1,"burst_count":10\}` \| yes \|/m)
  assert.match(page, /^\| `instance_map\.\*\.host` \|.* not yet \|/m)
  assert.match(page, /`use_presence`.*Deprecated since Synapse/)
  assert.ok(page.split('\n').every((line) => !line.startsWith('| `') || line.replaceAll('\\|', '').split('|').length === 7))
})
