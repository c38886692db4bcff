import { expect, test } from './fixtures'
import { json } from './scripted-server'
import { usageReport } from './scripted-usage'

/** What holds on any good stack: the one at SANDLE_E2E_URL (with SANDLE_E2E_KEY) or, without it, the scripted server. */
const { SANDLE_E2E_URL: url, SANDLE_E2E_KEY: key } = process.env
if (url) test.use({ site: url, apiKey: key ?? '' })

test('a model continues the text in place, watched, kept and undone', async ({ sandbox }) => {
  await sandbox.enter()
  await sandbox.ask('Say this is a test')
  await expect(sandbox.status).toHaveText(/^Finished, \d+ tokens?$/)
  const text = await sandbox.prompt.inputValue()
  expect(text).toMatch(/^Say this is a test.+/s)
  await expect(sandbox.prompt).toBeFocused()
  await expect(sandbox.generate).toBeVisible()

  await sandbox.button('Undo').click()
  await expect(sandbox.prompt).toHaveValue('Say this is a test')
  await sandbox.button('Redo').click()
  await expect(sandbox.prompt).toHaveValue(text)
})

test('Redo previous keeps the answer before as a branch', async ({ sandbox, page }) => {
  await sandbox.enter()
  await expect(sandbox.button('Redo previous')).toBeDisabled()
  await sandbox.ask('Once')
  await expect(sandbox.status).toHaveText(/^Finished/)
  const first = await sandbox.prompt.inputValue()
  await page.keyboard.press('Alt+r')
  await expect(page.getByText('2/2')).toBeVisible()
  await expect(sandbox.status).toHaveText(/^Finished/)
  await sandbox.button('Previous branch').click()
  await expect(page.getByText('1/2')).toBeVisible()
  await expect(sandbox.prompt).toHaveValue(first)
})

test('the holder of a key sees what it has used', async ({ sandbox, page, scripted }) => {
  scripted.server.usage = (response) => json(response, 200, usageReport(new Date()))
  await sandbox.enter()
  await sandbox.ask('Once')
  await expect(sandbox.status).toHaveText(/^Finished/)
  const dialog = await sandbox.openUsage()
  await expect(dialog.getByRole('row', { name: /^Total/ })).toHaveText(/^Total\s*\d/)
  const model = await sandbox.model.inputValue()
  await expect(dialog.getByRole('row', { name: new RegExp(`^${model}`) })).toBeVisible()
  await page.keyboard.press('Escape')
})

test('a wrong key is refused in the server’s words and asked for again', async ({ sandbox }) => {
  await sandbox.open()
  await sandbox.key.fill('wrong-key_2')
  await sandbox.ask('Hello')
  await expect(sandbox.alert).toContainText('HTTP 401')
  await expect(sandbox.alert).toContainText('request id')
  await expect(sandbox.key).toBeFocused()
  await expect(sandbox.prompt).toHaveValue('Hello')
})

test('the documentation of the API opens under its policy', async ({ page, site, complaints }) => {
  await page.goto(`${site}/docs/`)
  await expect(page.locator('.swagger-ui .info, .swagger-ui .errors-wrapper').first()).toBeVisible({ timeout: 15_000 })
  expect(complaints).toEqual([])
})

test('the policy allows nothing unsafe', async ({ request, site }) => {
  for (const path of ['/', '/docs/']) {
    const policy = (await request.get(site + path)).headers()['content-security-policy']
    expect(policy).toContain("default-src 'none'")
    expect(policy).not.toContain('unsafe')
  }
})
