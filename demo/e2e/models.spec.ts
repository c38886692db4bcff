import { expect, test } from './fixtures'
import type { ScriptedServer } from './scripted-server'

/** What the page says of a model on its way. */

const GB = 1e9

function fetching(server: ScriptedServer, progress: object | null): void {
  server.models = server.models.map((each) => (each.id === 'scripted' ? { ...each, status: progress ? 'loading' : 'ready', progress } : each))
}

test('a model that is being fetched says how far it is, how fast it comes and how long it takes, until it is there', { tag: '@narrow' }, async ({ sandbox, page, scripted }) => {
  fetching(scripted.server, { downloaded_bytes: 3.25 * GB, total_bytes: 13 * GB, bytes_per_second: 50_000_000, remaining_seconds: 195 })
  await sandbox.enter()
  await sandbox.model.selectOption('scripted')
  await expect(sandbox.model.locator('option', { hasText: 'scripted – fetching, 25 %' })).toBeAttached()
  const bar = page.getByRole('progressbar', { name: 'Download of scripted' })
  await expect(bar).toHaveJSProperty('position', 0.25)
  await expect(page.getByText('3.3 GB of 13.0 GB · 50.0 MB/s · 3 min left')).toBeVisible()
  expect(await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth)).toBeLessThanOrEqual(0)
  fetching(scripted.server, { downloaded_bytes: 6.5 * GB, total_bytes: 13 * GB, bytes_per_second: 0, remaining_seconds: null })
  await expect(page.getByText('6.5 GB of 13.0 GB · nothing comes at the moment')).toBeVisible()
  await sandbox.model.selectOption('org/plain')
  await expect(bar).toHaveCount(0)
  await sandbox.model.selectOption('scripted')
  fetching(scripted.server, null)
  await expect(bar).toHaveCount(0)
  await expect(sandbox.model.locator('option', { hasText: 'scripted – ready' })).toBeAttached()
})
