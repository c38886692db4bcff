import { expect, test } from './fixtures'
import { findNginx } from './nginx'

/** What the page makes of answers that go wrong; the scripted server gives them. */

test('text split inside characters and lines arrives whole', async ({ sandbox }) => {
  await sandbox.enter()
  await sandbox.ask('[bytes]')
  await expect(sandbox.status).toHaveText('Finished, 3 tokens')
  await expect(sandbox.prompt).toHaveValue('[bytes] Grüße 🏝 日本!')
})

test('an answer that is plain JSON is taken', async ({ sandbox }) => {
  await sandbox.enter()
  await sandbox.ask('[plain]')
  await expect(sandbox.status).toHaveText('Finished, 3 tokens')
  await expect(sandbox.prompt).toHaveValue('[plain] all at once')
})

for (const name of ['cut', 'reset']) {
  test(`a stream that ends early (${name}) keeps its text, and Continue goes on from there`, async ({ sandbox, scripted }) => {
    await sandbox.enter()
    await sandbox.ask(`[${name}]`)
    await expect(sandbox.prompt).toHaveValue(`[${name}] half an`)
    scripted.server.isHeld = false
    await expect(sandbox.alert).toContainText('Interrupted')
    await expect(sandbox.prompt).toHaveValue(`[${name}] half an`)
    scripted.server.isHeld = true
    await sandbox.button('Continue').click()
    await expect.poll(() => scripted.server.asked.at(-1)?.body.prompt).toBe(`[${name}] half an`)
    await expect(sandbox.prompt).toHaveValue(`[${name}] half an half an`)
  })
}

test('an error in the middle of a stream shows in its words; Retry starts again from before', async ({ sandbox, scripted }) => {
  await sandbox.enter()
  await sandbox.ask('[failing]')
  await expect(sandbox.alert).toContainText('The backend went away.')
  await expect(sandbox.alert).toContainText('req-scripted')
  await expect(sandbox.prompt).toHaveValue('[failing] half an')
  await sandbox.button('Retry').click()
  await expect.poll(() => scripted.server.asked.length).toBe(2)
  expect(scripted.server.asked[1]?.body.prompt).toBe('[failing]')
  await expect(sandbox.alert).toContainText('The backend went away.')
  await expect(sandbox.prompt).toHaveValue('[failing] half an')
})

test('a loading model is waited for, and the picker says so', async ({ sandbox, page, scripted }) => {
  await sandbox.enter()
  await sandbox.ask('[loading]')
  await expect(sandbox.alert).toContainText('The model is loading.')
  await expect(sandbox.alert).toContainText('HTTP 503')
  await expect(page.getByText(/Trying again in \d+ s/)).toBeVisible()
  await expect(sandbox.model.locator('option', { hasText: 'scripted – loading' })).toBeAttached()
  await expect.poll(() => scripted.server.asked.length).toBeGreaterThan(1)
  scripted.server.isHeld = false
  await expect(sandbox.status).toHaveText('Finished, 3 tokens', { timeout: 10_000 })
  await expect(sandbox.alert).toBeHidden()
  await expect(sandbox.prompt).toHaveValue('[loading] one two three')
  await expect(sandbox.model.locator('option', { hasText: 'scripted – ready' })).toBeAttached()
})

test('waiting for a model can be stopped', async ({ sandbox, page, scripted }) => {
  await sandbox.enter()
  await sandbox.ask('[loading] again')
  await expect(page.getByText(/Trying again/)).toBeVisible()
  await page.keyboard.press('Escape')
  await expect(sandbox.status).toHaveText('Stopped')
  await expect(sandbox.alert).toBeHidden()
  const { length } = scripted.server.asked
  await page.waitForTimeout(1500) // it would have asked again by now
  expect(scripted.server.asked.length).toBe(length)
})

test('the place in the queue is told while a request waits, and not at every step', async ({ sandbox, page, scripted }) => {
  await sandbox.enter()
  await sandbox.status.evaluate((region) => {
    new MutationObserver(() => console.log(`told: ${region.textContent}`)).observe(region, { characterData: true, childList: true, subtree: true })
  })
  const told: string[] = []
  page.on('console', (message) => { if (message.text().startsWith('told: ')) told.push(message.text().slice(6)) })
  const isFirstTold = page.waitForEvent('console', (message) => message.text().endsWith('place 12'))
  await sandbox.ask('[queued]')
  await isFirstTold
  scripted.server.places.push(11, 10, 3, 2)
  await expect(sandbox.status).toHaveText('Waiting in the queue, place 2')
  scripted.server.isHeld = false
  await expect(sandbox.status).toHaveText('Finished, 3 tokens')
  await expect(sandbox.prompt).toHaveValue('[queued] one two three')
  expect(told).toEqual(['Generating', 'Waiting in the queue, place 12', 'Waiting in the queue, place 2', 'Generating', 'Finished, 3 tokens'])
})

test('a request that waits for its turn can be stopped, and nothing is told afterwards', async ({ sandbox, page, scripted }) => {
  await sandbox.enter()
  await sandbox.ask('[queued]')
  await expect(sandbox.status).toHaveText(/place 12$/)
  await page.keyboard.press('Escape')
  await expect(sandbox.status).toHaveText('Stopped')
  await expect.poll(() => scripted.server.asked[0]?.isAborted).toBe(true)
  await page.waitForTimeout(3500) // the next news would have come by now
  await expect(sandbox.status).toHaveText('Stopped')
})

test('a bad parameter is shown, opened and focused', async ({ sandbox }) => {
  await sandbox.enter()
  await sandbox.ask('[bad]')
  await expect(sandbox.alert).toContainText('temperature must be at most 2.')
  await expect(sandbox.alert).toContainText('HTTP 400')
  await expect(sandbox.number('Temperature')).toBeFocused()
  await sandbox.ask('[penalty]')
  await expect(sandbox.number('Presence penalty')).toBeFocused()
  await sandbox.ask('[overflow]')
  await expect(sandbox.alert).toContainText('Shorten the prompt')
  await expect(sandbox.prompt).toBeFocused()
})

for (const [name, words] of [
  ['busy', ['Rate limit reached.', 'HTTP 429', '7 s']],
  ['big', ['The request body is too large.', 'HTTP 413', 'Shorten the prompt']],
  ['gateway', ['502', 'retry in a moment']],
  ['html', ['not a completion']],
] as const) {
  test(`a refusal says what to do: ${name}`, async ({ sandbox }) => {
    await sandbox.enter()
    await sandbox.ask(`[${name}]`)
    for (const each of words) await expect(sandbox.alert).toContainText(each)
    await expect(sandbox.prompt).toHaveValue(`[${name}]`)
    await expect(sandbox.button('Retry')).toBeVisible()
    await expect(sandbox.prompt).toBeEditable()
  })
}

test('an API that gives no answer at all is told of by nginx, in the same form', async ({ sandbox }) => {
  test.skip(findNginx() === null, 'nginx was not found')
  await sandbox.enter()
  await sandbox.ask('[gone]')
  await expect(sandbox.alert).toContainText('The API cannot be reached. It may be starting or restarting.')
  await expect(sandbox.alert).toContainText('HTTP 502')
  await expect(sandbox.alert).toContainText('request id')
  await expect(sandbox.prompt).toHaveValue('[gone]')
})

test('without a network the page says so, and Retry works once it is back', async ({ sandbox, context }) => {
  await sandbox.enter()
  await context.setOffline(true)
  await sandbox.ask('Hello')
  await expect(sandbox.alert).toContainText('offline')
  await context.setOffline(false)
  await sandbox.button('Retry').click()
  await expect(sandbox.prompt).toHaveValue('Hello one two three')
  await expect(sandbox.alert).toBeHidden()
})

test('hostile text stays text', async ({ sandbox, page }) => {
  await sandbox.enter()
  await sandbox.ask('[hostile]')
  await expect(sandbox.status).toHaveText('Finished, 3 tokens')
  await expect(sandbox.prompt).toHaveValue(/<img src=x onerror=.*<script>.*\{\{ 1 \+ 1 \}\}/)
  await expect(page).toHaveTitle('Sandle')
  expect(await page.locator('main img, main script').count()).toBe(0)
})

/** The file with the panels and dialogs, as the browser asks for it. */
const PARTS = '**/assets/later-*.js'

test('a panel that cannot be fetched says so, and no reload is offered while the server is away', { tag: ['@narrow', '@dark'] }, async ({ sandbox, page, context }) => {
  await page.route(PARTS, (route) => route.abort())
  await sandbox.enter()
  await sandbox.prompt.fill('Kept')
  await context.setOffline(true)
  await sandbox.tab('Tree').click()
  await expect(sandbox.alert).toContainText('The server cannot be reached')
  await sandbox.button('Retry').click()
  await expect(sandbox.alert).toContainText('The server cannot be reached')
  await context.setOffline(false)
  await page.unroute(PARTS)
  await sandbox.button('Retry').click()
  await sandbox.button('Reload the page').click()
  await expect(sandbox.prompt).toHaveValue('Kept')
  await sandbox.tab('Tree').click()
  await expect(page.getByRole('tree')).toBeVisible()
})

test('a panel that is long in coming says that it is on its way', async ({ sandbox, page }) => {
  let release = (): void => undefined
  const isReleased = new Promise<void>((resolve) => { release = resolve })
  await page.route(PARTS, async (route) => {
    await isReleased
    await route.continue()
  })
  await sandbox.enter()
  const panel = await sandbox.show('Tree')
  await expect(panel).toHaveText('Fetching this part of the page…')
  release()
  await expect(panel.getByRole('tree')).toBeVisible()
  await expect(panel).not.toContainText('Fetching')
})

test('a language that cannot be fetched says so, and the page stays in the one it is in', async ({ sandbox, page }) => {
  await page.route('**/assets/fr-*.json', (route) => route.abort())
  await sandbox.enter()
  await page.getByRole('combobox', { name: 'Language' }).selectOption('Français')
  await expect(sandbox.alert).toContainText('The server cannot be reached')
  await expect(page.getByRole('combobox', { name: 'Language' })).toHaveValue('en')
})

test('a dialog that the server no longer has is had by a reload, which keeps the text', async ({ sandbox, page }) => {
  await page.route(PARTS, (route) => route.fulfill({ status: 404, contentType: 'application/json', body: '{}' }))
  await sandbox.enter()
  await sandbox.prompt.fill('Kept')
  await sandbox.button('Help').click()
  await expect(sandbox.alert).toContainText('could not be fetched')
  await sandbox.button('Dismiss').click()
  await expect(sandbox.alert).toBeHidden()
  await sandbox.button('Help').click()
  await page.unroute(PARTS)
  await sandbox.button('Reload the page').click()
  await expect(sandbox.prompt).toHaveValue('Kept')
  await sandbox.button('Help').click()
  await expect(page.getByRole('dialog')).toContainText('How it works')
})
