import { expect, test } from './fixtures'
import { error, json } from './scripted-server'
import { usageReport } from './scripted-usage'

/** What the holder of a key sees of its use. */

test('a key’s use: today, limits, days, models; asked once, with the key, for all periods', { tag: '@narrow' }, async ({ sandbox, scripted }) => {
  const asked: (string | undefined)[] = []
  scripted.server.usage = (response) => {
    asked.push(response.req.headers.authorization, response.req.url)
    json(response, 200, usageReport(new Date()))
  }
  await sandbox.enter()
  const dialog = await sandbox.openUsage()
  await expect(dialog).toContainText('of the key “ada’s laptop”')
  await expect(dialog).toContainText('37,500 of 50,000 tokens')
  await expect(dialog).toContainText(/Requests a minute\s*60/)
  await expect(dialog).not.toContainText('Tokens a minute')
  const total = dialog.getByRole('row', { name: /^Total/ })
  await expect(total).toHaveText(/35\s*5,050\s*2,525$/)
  await expect(dialog.getByRole('img')).toHaveAccessibleName(/: 7,575 in all, 840 at most, on/)
  await dialog.getByRole('button', { name: '7 days' }).click()
  await expect(total).toHaveText(/8\s*210\s*105$/)
  await dialog.getByRole('button', { name: '90 days' }).click()
  await dialog.locator('summary').click()
  await expect(dialog.getByRole('table', { name: 'By day' }).getByRole('row')).toHaveCount(91)
  await expect(dialog.getByRole('img').locator('.completion')).toHaveCount(89)
  expect(asked).toEqual(['Bearer scripted-key_1', '/v1/usage?days=90'])
})

test('a day that is pointed at tells its figures', async ({ sandbox, scripted }) => {
  scripted.server.usage = (response) => json(response, 200, usageReport(new Date()))
  await sandbox.enter()
  const dialog = await sandbox.openUsage()
  await dialog.getByRole('img').locator('.slot').nth(1).hover()
  await expect(dialog).toContainText(/\d+ \w+: 560 \+ 280 tokens, 2 requests/)
})

test('tokens of the day that are used up, a key without limits or use, and a server that counts nothing are told', async ({ sandbox, page, scripted }) => {
  const report = usageReport(new Date())
  scripted.server.usage = (response) => json(response, 200, { ...report, tokens_today: 50_000 })
  await sandbox.enter()
  await expect(await sandbox.openUsage()).toContainText('Today’s tokens are used up.')
  await page.keyboard.press('Escape')
  const limits = Object.fromEntries(Object.keys(report.limits).map((name) => [name, null]))
  scripted.server.usage = (response) => json(response, 200, { ...report, limits, tokens_today: 0, data: [] })
  const dialog = await sandbox.openUsage()
  await expect(dialog).toContainText('This key has no limits.')
  await expect(dialog).toContainText('Nothing was used in this period.')
  await page.keyboard.press('Escape')
  scripted.server.usage = null
  await expect(await sandbox.openUsage()).toContainText('This server keeps no account')
  await page.keyboard.press('Escape')
  await expect(sandbox.button('Usage')).toBeFocused()
})

test('refusals stand in the server’s words with the advice for them, and Retry asks again', async ({ sandbox, scripted }) => {
  scripted.server.usage = (response) => error(response, 401, 'Incorrect API key provided.', null, 'invalid_api_key')
  await sandbox.enter()
  const dialog = await sandbox.openUsage()
  const alert = dialog.getByRole('alert')
  await expect(alert).toContainText('Incorrect API key provided.')
  await expect(alert).toContainText('Check the API key')
  await expect(alert).toContainText('HTTP 401')
  scripted.server.usage = (response) => json(response, 200, { object: 'what' })
  await dialog.getByRole('button', { name: 'Retry' }).click()
  await expect(alert).toContainText('not understood')
  scripted.server.usage = (response) => json(response, 200, usageReport(new Date()))
  await dialog.getByRole('button', { name: 'Retry' }).click()
  await expect(dialog).toContainText('50,000 tokens')
  await expect(alert).toBeHidden()
})
