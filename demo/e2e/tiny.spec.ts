import { expect, test, type Sandbox } from './fixtures'

/** What the page shows of a real model: the stack at SANDLE_E2E_TINY_URL (with SANDLE_E2E_KEY) serves sandle-tiny. */
const { SANDLE_E2E_TINY_URL: url, SANDLE_E2E_KEY: key } = process.env
test.skip(!url, 'SANDLE_E2E_TINY_URL is not set')
test.use({ site: url ?? '', apiKey: key ?? '' })
test.slow() // the model may still be loading, and computes on the processor

const QUESTION = 'Q: What is the capital of France?\nA:'

async function answer(sandbox: Sandbox, prompt: string): Promise<string> {
  await sandbox.number('Temperature').fill('0')
  await sandbox.number('Max tokens').fill('24')
  await sandbox.ask(prompt)
  await expect(sandbox.status).toHaveText(/^Finished/, { timeout: 60_000 })
  return sandbox.prompt.inputValue()
}

test('the probability of " Paris", a branch to its first alternative, and the old continuation still there', async ({ sandbox, page }) => {
  await sandbox.enter()
  const text = await answer(sandbox, QUESTION)
  expect(text.startsWith(`${QUESTION} Paris`)).toBe(true)

  await sandbox.show('Tokens')
  await sandbox.token('␣Paris').focus()
  await expect(sandbox.bars).toContainText(/token\s+␣Paris\s+\d\d\.\d %/)
  await page.keyboard.press('ArrowDown')
  const first = sandbox.bars.getByRole('button').first()
  await expect(first).toBeFocused()
  const [, shown] = /(\S+)\s+\d/.exec(await first.innerText()) as unknown as [string, string]
  const alternative = shown.replaceAll('␣', ' ').replaceAll('↵', '\n')
  expect(alternative).not.toBe(' Paris')
  await page.keyboard.press('Enter')
  await expect(sandbox.status).toHaveText(/^Finished/, { timeout: 60_000 })

  await sandbox.show('Write')
  const branched = await sandbox.prompt.inputValue()
  expect(branched.startsWith(QUESTION + alternative)).toBe(true)
  await expect(page.getByText('2/2').first()).toBeVisible()
  await sandbox.button('Previous branch').click()
  await expect(sandbox.prompt).toHaveValue(text)
  await sandbox.show('Tree')
  await expect(page.getByRole('treeitem').filter({ hasText: 'Paris' }).first()).toBeVisible()
  await expect(page.getByRole('treeitem').filter({ hasText: alternative.trim() }).first()).toBeVisible()
})

test('a shared text goes on the same way in a browser that has never seen it', async ({ sandbox, page, newcomer }) => {
  await sandbox.enter()
  const text = await answer(sandbox, 'Once upon a time')
  await page.keyboard.press('Control+z')
  await expect(sandbox.prompt).toHaveValue('Once upon a time')
  await sandbox.button('Share').click()
  const field = page.getByRole('dialog').getByRole('textbox')
  await expect(field).toHaveValue(/#s=/)
  const link = await field.inputValue()

  const other = await newcomer(link)
  await other.enter()
  await expect(other.prompt).toHaveValue('Once upon a time')
  await expect(other.number('Temperature')).toHaveValue('0')
  await other.generate.click()
  await expect(other.status).toHaveText(/^Finished/, { timeout: 60_000 })
  await expect(other.prompt).toHaveValue(text)
})

test('a chat’s prompt in the text is answered as the chat itself is', async ({ sandbox, page, request }) => {
  await sandbox.enter()
  await sandbox.button('Chat to prompt…').click()
  const dialog = page.getByRole('dialog', { name: 'Chat to prompt' })
  const question = { role: 'user', content: 'What is the capital of France?' }
  await dialog.getByRole('textbox', { name: 'Text of message 2' }).fill(question.content)
  await dialog.getByRole('button', { name: 'Put into the text' }).click()
  await expect(sandbox.prompt).toHaveValue(`<s><|user|>\n${question.content}\n<|assistant|>\n`)
  const prompt = await sandbox.prompt.inputValue()
  const text = await answer(sandbox, prompt)
  const chat = await request.post(`${url}/v1/chat/completions`, {
    headers: { Authorization: `Bearer ${key}` }, data: { model: await sandbox.model.inputValue(), messages: [question], max_tokens: 24, temperature: 0 },
  })
  const { choices: [choice] } = await chat.json() as { choices: { message: { content: string } }[] }
  expect(text).toBe(prompt + choice?.message.content)
  expect(text).toContain('Paris')
})

test('the same seed says the same again, and the page says so', async ({ sandbox }) => {
  await sandbox.enter()
  await sandbox.number('Seed').fill('7')
  await sandbox.number('Max tokens').fill('16')
  await sandbox.ask('Once upon a time')
  await expect(sandbox.status).toHaveText(/^Finished/, { timeout: 60_000 })
  const text = await sandbox.prompt.inputValue()
  await sandbox.button('Replay').click()
  await expect(sandbox.status).toHaveText(/identical/i, { timeout: 60_000 })
  await expect(sandbox.prompt).toHaveValue(text)
})

test('a text that makes sense is less of a surprise than the same words shuffled', async ({ sandbox, page }) => {
  await sandbox.enter()
  await sandbox.show('Tokens')
  const perplexityOf = async (text: string): Promise<number> => {
    await page.getByRole('textbox', { name: 'Text to score' }).fill(text)
    await sandbox.button('Score this text').click()
    await expect(page.getByRole('group', { name: 'Tokens of the scored text' })).toContainText(`␣${text.split(' ').at(-1) ?? ''}`.slice(0, 4), { timeout: 30_000 })
    const found = /^Perplexity ([\d.,]+)$/.exec(await page.getByText(/^Perplexity /).innerText())?.[1] ?? ''
    return Number(found.replaceAll(',', ''))
  }
  const sensible = await perplexityOf('The days of the week are Monday, Tuesday, Wednesday')
  const shuffled = await perplexityOf('week Tuesday, the are days Wednesday The of Monday,')
  expect(sensible).toBeGreaterThan(1)
  expect(shuffled).toBeGreaterThan(2 * sensible)
})
