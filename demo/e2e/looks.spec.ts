import AxeBuilder from '@axe-core/playwright'

import { expect, test, type Sandbox } from './fixtures'
import { json } from './scripted-server'
import { usageReport } from './scripted-usage'

/**
 * Every state of the page, as seen wide in each of its colours, and narrow: axe finds nothing, nothing is cut off at the side, and no
 * target is too small to hit.
 */

/** How the page looks by its user's wish; in each, what a state shows is looked at again. */
const COLOURS = {
  light: { colorScheme: 'light', forcedColors: 'none', reducedMotion: 'no-preference' },
  dark: { colorScheme: 'dark', forcedColors: 'none', reducedMotion: 'no-preference' },
  forced: { colorScheme: 'light', forcedColors: 'active', reducedMotion: 'reduce' },
} as const

const RULES = ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice']

/** Controls smaller than 24 by 24 pixels; links in a line of text may be, and a tick box counts with its label. */
function smallTargets(): string[] {
  const areaOf = (each: HTMLElement): HTMLElement => (each instanceof HTMLInputElement && each.labels?.[0]?.contains(each) ? each.labels[0] : each)
  return [...document.querySelectorAll<HTMLElement>('button, select, input:not([type=file]), textarea, summary, header a, [role=tab], [role=treeitem]')]
    .filter((each) => each.checkVisibility({ visibilityProperty: true }) && !each.closest('.sr-only, [inert]'))
    .map((each) => ({ html: each.outerHTML.slice(0, 120), box: areaOf(each).getBoundingClientRect() }))
    .filter(({ box }) => box.width < 24 || box.height < 24)
    .map(({ html, box }) => `${Math.round(box.width)}×${Math.round(box.height)} ${html}`)
}

async function expectGoodLooks({ page }: Sandbox): Promise<void> {
  await page.evaluate(() => Promise.allSettled(document.getAnimations().map(({ finished }) => finished))) // colours on their way are not looked at
  const builder = new AxeBuilder({ page }).withTags(RULES)
  // In forced colours text has the user's own; what axe reads from the page are the author's.
  if (await page.evaluate(() => matchMedia('(forced-colors: active)').matches)) builder.disableRules('color-contrast')
  const { violations } = await builder.analyze()
  expect(violations.map(({ id, nodes }) => `${id}: ${nodes.map(({ html, any }) => `${html} ${any[0]?.message ?? ''}`).join(' | ')}`)).toEqual([])
  expect(await page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth)).toBeLessThanOrEqual(0)
  expect(await page.evaluate(() => [...document.querySelectorAll('dialog[open]')].filter(({ scrollWidth, clientWidth }) => scrollWidth > clientWidth).map(({ className }) => className))).toEqual([])
  expect(await page.evaluate(smallTargets)).toEqual([])
}

/** Two answers to one text: a fork. */
async function askTwice(sandbox: Sandbox): Promise<void> {
  await sandbox.ask('Twice')
  await expect(sandbox.status).toHaveText(/^Finished/)
  await sandbox.button('Redo previous').click()
  await expect(sandbox.page.getByText('2/2').first()).toBeVisible()
  await expect(sandbox.status).toHaveText(/^Finished/)
}

/** The states, each by the steps that lead to it from a page with a key. */
const STATES: Readonly<Record<string, (sandbox: Sandbox) => Promise<void>>> = {
  async 'settings open'(sandbox) {
    await sandbox.openSettings()
    await sandbox.page.getByRole('combobox', { name: 'Preset' }).selectOption('Classic Sandle')
    for (const summary of await sandbox.page.locator('details:not([open]) > summary').all()) await summary.click()
  },
  async 'running'(sandbox) {
    await sandbox.ask('[slow]')
    await expect(sandbox.prompt).toHaveValue(/word2/)
  },
  async 'an error'(sandbox) {
    await sandbox.ask('[failing]')
    await expect(sandbox.alert).toContainText('The backend went away.')
  },
  async 'waiting for a model'(sandbox) {
    await sandbox.ask('[loading]')
    await expect(sandbox.page.getByText(/Trying again in/)).toBeVisible()
  },
  async 'a model being fetched'(sandbox) {
    const progress = { downloaded_bytes: 5e8, total_bytes: 2e9, bytes_per_second: 2e7, remaining_seconds: 75 }
    await sandbox.page.route('**/v1/models', (route) => route.fulfill({ json: { data: [{ id: 'a/model-with-a-rather-long-name', status: 'loading', progress }] } }))
    await sandbox.page.reload()
    await sandbox.openSettings()
    await sandbox.key.fill('scripted-key_1')
    await sandbox.closeSettings()
    await expect(sandbox.page.getByRole('progressbar')).toBeVisible()
  },
  async 'waiting in the queue'(sandbox) {
    await sandbox.ask('[queued]')
    await expect(sandbox.status).toHaveText(/place 12$/)
  },
  async 'a fork and a warning'(sandbox) {
    await askTwice(sandbox)
    await sandbox.prompt.pressSequentially(' ')
    await expect(sandbox.page.getByText('ends with whitespace')).toBeVisible()
  },
  async 'help'(sandbox) {
    await sandbox.button('Help').click()
    await expect(sandbox.page.getByRole('dialog')).toBeVisible()
  },
  async 'tokens with bars'(sandbox) {
    await sandbox.ask('Tell me [eight]')
    await expect(sandbox.status).toHaveText(/^Finished/)
    await sandbox.show('Tokens')
    await expect(sandbox.token('␣me')).toBeVisible() // the prompt's tokens have come and push nothing any more
    await sandbox.token('␣an').click()
    await expect(sandbox.bars).toContainText('70.0 %')
    await sandbox.page.getByRole('textbox', { name: 'Text to score' }).fill('a text to be scored')
    await sandbox.button('Score this text').click()
    await expect(sandbox.page.getByText(/^Perplexity/)).toBeVisible()
  },
  async 'tree with forks'(sandbox) {
    await askTwice(sandbox)
    await sandbox.show('Tree')
    await expect(sandbox.page.getByRole('treeitem').first()).toBeVisible()
  },
  async 'a comparison'(sandbox) {
    await sandbox.prompt.fill('Tell me [eight]')
    const panel = await sandbox.show('Compare')
    for (const id of ['scripted', 'org/wordy']) await panel.getByRole('checkbox', { name: new RegExp(`^${id}`) }).check()
    await panel.getByRole('button', { name: /^Compare/ }).click()
    await expect(panel.getByText(/lighthouse/)).toHaveCount(2)
    await expect(panel.getByText(/^Finished/).first()).toBeVisible()
  },
  async 'a link to share'(sandbox) {
    await sandbox.prompt.fill('To be shared')
    await sandbox.button('Share').click()
    await expect(sandbox.page.getByRole('dialog').getByRole('textbox')).toHaveValue(/#s=/)
  },
  async 'what a key has used'(sandbox) {
    const dialog = await sandbox.openUsage()
    await dialog.locator('summary').click()
    await dialog.getByRole('img').locator('.slot').nth(3).hover()
  },
  async 'the usage refused'(sandbox) {
    await sandbox.openSettings()
    await sandbox.page.route('**/v1/usage*', (route) => route.abort())
    await sandbox.openUsage()
    await expect(sandbox.page.getByRole('dialog', { name: 'Usage' }).getByRole('alert')).toContainText('cannot be reached')
  },
  async 'messages to become a prompt'(sandbox) {
    await sandbox.openSettings()
    await sandbox.button('Chat to prompt…').click()
    const dialog = sandbox.page.getByRole('dialog', { name: 'Chat to prompt' })
    await dialog.getByRole('button', { name: 'Add message' }).click()
    await dialog.getByRole('textbox').last().fill('[roles]')
    await dialog.getByRole('button', { name: 'Put into the text' }).click()
    await expect(dialog.getByRole('alert')).toContainText('roles must alternate')
  },
  async 'a panel that cannot be fetched'(sandbox) {
    await sandbox.page.route('**/assets/later-*.js', (route) => route.abort())
    await sandbox.page.reload()
    await sandbox.tab('Tree').click()
    await expect(sandbox.alert).toContainText('could not be fetched')
  },
  async 'code'(sandbox) {
    await sandbox.ask('Hello')
    await expect(sandbox.status).toHaveText(/^Finished/)
    await sandbox.show('Code')
  },
}

for (const [name, reach] of Object.entries(STATES)) {
  test(`good looks: ${name}`, { tag: '@narrow' }, async ({ sandbox, page, scripted }) => {
    test.slow() // three scans
    scripted.server.usage = (response) => json(response, 200, usageReport(new Date()))
    await sandbox.enter()
    await reach(sandbox)
    for (const [colours, media] of Object.entries(test.info().project.name === 'narrow' ? { light: COLOURS.light } : COLOURS)) {
      await test.step(colours, async () => {
        await page.emulateMedia(media)
        await expectGoodLooks(sandbox)
      })
    }
  })
}

test('good looks: in French, in every view', { tag: '@narrow' }, async ({ sandbox, page }) => {
  test.slow() // six scans
  await sandbox.enter()
  await sandbox.ask('Tell me [eight]')
  await expect(sandbox.status).toHaveText(/^Finished/)
  await page.getByRole('combobox', { name: 'Language' }).selectOption('Français')
  for (const name of ['Tokens', 'Arbre', 'Comparer', 'Code', 'Écrire']) {
    await page.getByRole('tab', { name, exact: true }).click()
    await expectGoodLooks(sandbox)
  }
  const parameters = page.getByRole('button', { name: 'Paramètres' })
  if (await parameters.isVisible()) await parameters.click()
  await page.getByRole('button', { name: 'Chat en invite…' }).click()
  await page.locator('dialog.chat').getByRole('button', { name: 'Ajouter un message' }).click()
  await expectGoodLooks(sandbox)
})

test('nothing moves for those who want no motion', { tag: '@forced' }, async ({ sandbox, page }) => {
  await page.emulateMedia({ reducedMotion: 'reduce' })
  await sandbox.enter()
  await sandbox.ask('[slow]')
  await expect(sandbox.prompt).toHaveValue(/word2/)
  expect(await page.evaluate(() => document.getAnimations().filter((each) => Number(each.effect?.getComputedTiming().duration) > 20).length)).toBe(0)
})
