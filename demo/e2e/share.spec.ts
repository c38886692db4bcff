import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { inflateRawSync } from 'node:zlib'

import { expect, test } from './fixtures'
import { KEY } from './scripted-server'

/** What leaves the page: links, and the request as code. */

const SHARED = 'Q: 🏝 “quoted” <b>\n\tA:'

test('a link carries text, settings and model, not the key, and runs nothing by itself', async ({ sandbox, page, context, newcomer, scripted }) => {
  await context.grantPermissions(['clipboard-read', 'clipboard-write'])
  await sandbox.enter()
  await sandbox.number('Max tokens').fill('33')
  await sandbox.number('Temperature').fill('0')
  await sandbox.prompt.fill(SHARED)
  await sandbox.button('Share').click()
  const field = page.getByRole('dialog').getByRole('textbox')
  await expect(field).toHaveValue(/^http.*#s=[\w-]+$/)
  const link = await field.inputValue()
  expect(await page.evaluate(() => navigator.clipboard.readText())).toBe(link)
  const packed = inflateRawSync(Buffer.from(link.split('#s=')[1] ?? '', 'base64url')).toString()
  expect(JSON.parse(packed)).toBeInstanceOf(Object)
  expect(packed).not.toContain(KEY)
  await page.keyboard.press('Escape')
  await expect(page.getByRole('dialog')).toHaveCount(0)
  await expect(sandbox.button('Share')).toBeFocused()

  const other = await newcomer(link)
  await other.enter()
  await expect(other.prompt).toHaveValue(SHARED)
  await expect(other.number('Max tokens')).toHaveValue('33')
  await expect(other.number('Temperature')).toHaveValue('0')
  await expect(other.model).toHaveValue('scripted')
  expect(scripted.server.asked).toHaveLength(0)
})

test('a link that is damaged opens nothing; one that is good does not take away what was there', async ({ sandbox, page, site }) => {
  await sandbox.enter()
  await sandbox.prompt.fill('My own text')
  await page.goto('about:blank')
  await page.goto(`${site}/#s=%00broken`)
  await expect(sandbox.prompt).toHaveValue('My own text')
  await expect(page.getByText(/damaged or incomplete/).first()).toBeVisible()

  await sandbox.button('Share').click()
  const field = page.getByRole('dialog').getByRole('textbox')
  await expect(field).toHaveValue(/#s=/)
  const link = await field.inputValue()
  await page.keyboard.press('Escape')
  await sandbox.prompt.fill('Something newer')
  await page.goto('about:blank')
  await page.goto(link)
  await expect(sandbox.prompt).toHaveValue('My own text')
  await sandbox.button('Put back the earlier text').click()
  await expect(sandbox.prompt).toHaveValue('Something newer')
})

test('the code is the request, byte for byte', async ({ sandbox, page, context, scripted, apiKey }) => {
  await context.grantPermissions(['clipboard-read', 'clipboard-write'])
  await sandbox.enter()
  await sandbox.number('Seed').fill('7')
  await sandbox.prompt.fill('It\'s "50 %" of $HOME `x` \\n\n🏝 !')
  await sandbox.show('Code')
  const snippet = await page.locator('pre').innerText()
  await sandbox.button('Copy code').click()
  expect(await page.evaluate(() => navigator.clipboard.readText())).toBe(snippet)
  await promisify(execFile)('bash', ['-c', snippet], { env: { PATH: process.env.PATH, SANDLE_API_KEY: apiKey, no_proxy: '*' } })
  await sandbox.generate.click()
  await expect(sandbox.status).toHaveText(/^Finished/)
  expect(scripted.server.asked).toHaveLength(2)
  expect(scripted.server.asked[0]?.raw).toBe(scripted.server.asked[1]?.raw)

  await sandbox.show('Code')
  await sandbox.button('Python').click()
  await expect(page.locator('pre')).toContainText('from openai import OpenAI')
  await expect(page.locator('pre')).toContainText('SANDLE_API_KEY')
})
