import { readFileSync } from 'node:fs'

import { expect, test, type Sandbox } from './fixtures'
import type { Asked, ScriptedServer } from './scripted-server'
import { idOf, tokenize, TWINS } from './scripted-tokens'

/** The token view: probabilities, alternatives, branches by token ids, the next token, and the scores of a text. */

async function written(sandbox: Sandbox, prompt: string): Promise<void> {
  await sandbox.enter()
  await sandbox.ask(prompt)
  await expect(sandbox.status).toHaveText(/^Finished/)
}

/** Takes the likeliest alternative to a token, by keyboard alone. */
async function takeFirst(sandbox: Sandbox, token: string): Promise<void> {
  await sandbox.show('Tokens')
  await sandbox.token(token).focus()
  await sandbox.page.keyboard.press('ArrowDown')
  await sandbox.page.keyboard.press('Enter')
}

/** The ids that the `count`th stream, the last one, was asked to go on from. */
async function promptOf(scripted: { server: ScriptedServer }, count: number): Promise<unknown> {
  const streams = (): Asked[] => scripted.server.asked.filter(({ body }) => body.stream === true)
  await expect.poll(() => streams().length).toBe(count)
  return streams().at(-1)?.body.prompt
}

const idsOf = (text: string): number[] => [1, ...tokenize(text).map(({ id }) => id)]

test('each token shows its probability, and not by its colour alone when it is unlikely', { tag: ['@narrow', '@dark', '@forced'] }, async ({ sandbox }) => {
  await written(sandbox, 'Tell me [eight]')
  await sandbox.show('Tokens')
  await expect(sandbox.token('␣Once')).toHaveAccessibleName('␣Once 62.0 %')
  await expect(sandbox.token('␣an')).toHaveAccessibleName('␣an 4.0 %')
  await expect(sandbox.token('␣an')).toHaveCSS('text-decoration-line', 'underline')
  await expect(sandbox.token('␣Once')).toHaveCSS('text-decoration-line', 'none')
  await expect(sandbox.token('↵')).toBeVisible()
  await expect(sandbox.token('␣me')).toHaveAccessibleName('␣me 62.0 %') // the prompt is scored, too
  await expect(sandbox.token('<s>')).toHaveAccessibleName('<s> no probability')
})

test('one stop for Tab; arrows move; Enter on an alternative branches there by token ids, and the old text stays', async ({ sandbox, page, scripted }) => {
  await written(sandbox, 'Tell me [eight]')
  const text = await sandbox.prompt.inputValue()
  await sandbox.show('Tokens')
  await expect(sandbox.token('␣me')).toBeVisible()
  const stops = page.getByRole('group', { name: 'Tokens', exact: true }).locator('[tabindex="0"]')
  await expect(stops).toHaveCount(1)
  await sandbox.token('␣Once').focus()
  await page.keyboard.press('ArrowRight')
  await expect(sandbox.token('␣there')).toBeFocused()
  await page.keyboard.press('ArrowLeft')
  await expect(sandbox.token('␣Once')).toBeFocused()
  for (const _ of [1, 2, 3]) await page.keyboard.press('ArrowRight')
  await expect(sandbox.token('␣an')).toBeFocused()
  await expect(stops).toHaveCount(1)
  await expect(sandbox.bars).toContainText(/token\s+␣an\s+4\.0 %/)
  await expect(sandbox.bars).toContainText(/␣better\s*70\.0 %/)
  await page.keyboard.press('ArrowDown')
  await page.keyboard.press('Enter')

  const before = scripted.server.asked.length
  await expect(sandbox.status).toHaveText(/^Finished/)
  await sandbox.show('Write')
  await expect(sandbox.prompt).toHaveValue('Tell me [eight] Once there was better Once there was an old lighthouse.\n')
  const asked = scripted.server.asked.filter(({ body }) => body.stream === true)
  expect(asked).toHaveLength(2)
  expect(asked[1]?.body.prompt).toEqual([...idsOf('Tell me [eight]'), ...[' Once', ' there', ' was', ' better'].map(idOf)])
  expect(asked[1]?.body.max_tokens).toBe(128)
  expect(before).toBeGreaterThan(0)
  await expect(page.getByText('2/2').first()).toBeVisible()
  await sandbox.button('Previous branch').click()
  await expect(sandbox.prompt).toHaveValue(text)
})

test('a branch goes on by the text where the server gives no ids', async ({ sandbox, scripted }) => {
  await sandbox.enter()
  await sandbox.model.selectOption('org/wordy')
  await sandbox.ask('Tell me [eight]')
  await expect(sandbox.status).toHaveText(/^Finished/)
  expect(scripted.server.asked[0]?.body).not.toHaveProperty('return_token_ids')
  await takeFirst(sandbox, '␣an')
  expect(await promptOf(scripted, 2)).toBe('Tell me [eight] Once there was better')
})

test('a prompt’s own token can be replaced, too', async ({ sandbox, scripted }) => {
  await written(sandbox, 'Say something nice to me')
  await takeFirst(sandbox, '␣nice')
  await expect(sandbox.status).toHaveText(/^Finished/)
  await sandbox.show('Write')
  await expect(sandbox.prompt).toHaveValue(/^Say something (\w+) one two three$/)
  const alternative = /something( \w+) one/.exec(await sandbox.prompt.inputValue())?.[1] ?? ''
  expect(await promptOf(scripted, 2)).toEqual([...idsOf('Say something'), idOf(alternative)])
  await sandbox.button('Undo').click()
  await expect(sandbox.prompt).toHaveValue('Say something nice to me one two three')
})

test('tokens that are parts of a character are shown, and keep their ids in a branch after them', async ({ sandbox, scripted }) => {
  await written(sandbox, '[parts]')
  await expect(sandbox.prompt).toHaveValue('[parts] An🏝 é island')
  await sandbox.show('Tokens')
  await expect(sandbox.token('bytes:\\xf0')).toBeVisible()
  await takeFirst(sandbox, '␣é')
  const ids = await promptOf(scripted, 2) as number[]
  expect(ids.slice(0, -1)).toEqual([...idsOf('[parts]'), idOf(' An'), ...['f0', '9f', '8f', '9d'].map((byte) => idOf(`bytes:\\x${byte}`))])
})

test('two tokens of the same text keep their own ids', async ({ sandbox, scripted }) => {
  await written(sandbox, '[twins]')
  await takeFirst(sandbox, '␣end')
  const ids = await promptOf(scripted, 2) as number[]
  expect(ids.slice(0, -1)).toEqual([...idsOf('[twins]'), idOf(' a'), TWINS[0], TWINS[0], TWINS[1]])
})

test('what the server spells otherwise, or gives no probabilities for, stays readable text', async ({ sandbox }) => {
  await sandbox.enter()
  await sandbox.ask('[crooked]')
  await expect(sandbox.status).toHaveText(/^Finished/)
  await expect(sandbox.prompt).toHaveValue('[crooked] ONE TWO THREE')
  const panel = await sandbox.show('Tokens')
  await expect(panel).toContainText(/(␣| )ONE(␣| |\s)*TWO/)
  await sandbox.show('Write')
  await sandbox.ask('[mute]')
  await expect(sandbox.status).toHaveText(/^Finished/)
  await sandbox.show('Tokens')
  await expect(panel).toContainText(/(␣| )one(␣| |\s)*two/)
})

test('a model without probabilities is not asked for them, and the view says why it is empty', async ({ sandbox, scripted }) => {
  await sandbox.enter()
  await sandbox.model.selectOption('org/plain')
  await expect(sandbox.number('Logprobs')).toHaveCount(0)
  await sandbox.ask('Hello')
  await expect(sandbox.status).toHaveText(/^Finished/)
  for (const field of ['logprobs', 'echo', 'return_token_ids']) expect(scripted.server.asked[0]?.body).not.toHaveProperty(field)
  const panel = await sandbox.show('Tokens')
  await expect(panel).toContainText('gives no probabilities')
  await expect(sandbox.button('Score this text')).toHaveCount(0)
  expect(scripted.server.asked).toHaveLength(1)
})

test('hostile tokens stay text', async ({ sandbox, page }) => {
  await written(sandbox, '[hostile]')
  const panel = await sandbox.show('Tokens')
  await expect(panel.getByRole('button', { name: /^␣<img␣src=x␣onerror=/ })).toBeVisible()
  await expect(panel.getByRole('button', { name: /\\u202e\\u0007/ })).toBeVisible() // what would turn the line around is spelled out
  await sandbox.show('Tree')
  await sandbox.show('Code')
  await expect(page.locator('main img, main script')).toHaveCount(0)
  await expect(page).toHaveTitle('Sandle')
})

test('a pointer over a token opens its bars; a press keeps them', async ({ sandbox }) => {
  await written(sandbox, '[eight]')
  const panel = await sandbox.show('Tokens')
  await expect(panel).toContainText(/Scored, \d+ tokens/) // until then what lies under the pointer may move
  await sandbox.token('␣there').hover()
  await expect(sandbox.bars).toContainText(/token\s+␣there\s+62\.0 %/)
  await sandbox.token('␣lighthouse').click()
  await expect(sandbox.bars).toContainText(/token\s+␣lighthouse/)
})

test('what comes next is asked without writing anything, and can be taken', async ({ sandbox, page, scripted }) => {
  await sandbox.enter()
  await sandbox.prompt.fill('Count: [good]')
  await sandbox.show('Tokens')
  await sandbox.button('What comes next?').click()
  await expect(sandbox.bars).toContainText(/␣one\s*62\.0 %/)
  expect(scripted.server.asked.at(-1)?.body).toMatchObject({ max_tokens: 1, temperature: 0, logprobs: 10 })
  await expect(page.locator('#prompt')).toHaveValue('Count: [good]')
  await sandbox.bars.getByRole('button', { name: /alpha/ }).click()
  await expect(sandbox.status).toHaveText(/^Finished/)
  await sandbox.show('Write')
  await expect(sandbox.prompt).toHaveValue('Count: [good] alpha one two three')
})

test('any text can be scored, and its figures taken away as CSV', async ({ sandbox, page, scripted }) => {
  await sandbox.enter()
  await sandbox.show('Tokens')
  await page.getByRole('textbox', { name: 'Text to score' }).fill('a text, "quoted", to be scored')
  await sandbox.button('Score this text').click()
  // Six tokens, one of them at 4 %, the others at 62 %; what begins a text has no probability: exp(−(5·ln .62 + ln .04)/6).
  await expect(page.getByText(/^Perplexity/)).toHaveText('Perplexity 2.547')
  expect(scripted.server.asked[0]?.body).toMatchObject({ prompt: 'a text, "quoted", to be scored', echo: true, max_tokens: 0, logprobs: 5 })
  const download = page.waitForEvent('download')
  await page.getByRole('button', { name: /CSV$/ }).click()
  const csv = readFileSync(await (await download).path(), 'utf8')
  expect(csv.trim().split(/\r?\n/).length).toBeGreaterThanOrEqual(7)
  expect(csv).toContain('" ""quoted"","')
  await sandbox.show('Write')
  await expect(sandbox.prompt).toHaveValue('')
})
