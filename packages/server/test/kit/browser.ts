/** A real browser for tests of pages. */
import assert from 'node:assert/strict'
import { existsSync } from 'node:fs'
import type { TestContext } from 'node:test'
import { chromium, type Page } from 'playwright-core'
import { within } from './deadline.ts'

const chromiumArguments = ['--no-sandbox', '--disable-gpu', '--disable-quic', '--no-first-run', '--disable-background-networking', '--disable-component-update', '--disable-sync']

/** Opens a page in a new profile of a headless Chromium that ends with the test. */
export async function openBrowser(t: TestContext, url: string): Promise<Page> {
  const executablePath = process.env['MYELIN_TEST_CHROMIUM'] ?? '/usr/bin/chromium'
  assert.ok(existsSync(executablePath), `There is no browser at ${executablePath}: run 'apt-get install chromium' as root, or set MYELIN_TEST_CHROMIUM.`)
  const browser = await within('the browser', chromium.launch({ executablePath, args: chromiumArguments }), 60)
  t.after(() => browser.close())
  const page = await browser.newPage()
  page.on('pageerror', (error) => t.diagnostic(`In the page: ${error.stack ?? error.message}`))
  await page.goto(url)
  return page
}
