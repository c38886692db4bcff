import { readFileSync } from 'node:fs'

import { expect, test } from './fixtures'

/** The page as a place to write: stopping, history, settings, keys, what is kept and where. */

test('Stop aborts at once and keeps the text; the box is read-only meanwhile, never disabled, and keeps the focus', async ({ sandbox, scripted }) => {
  await sandbox.enter()
  await sandbox.prompt.fill('[slow]')
  await sandbox.generate.click()
  await expect(sandbox.status).toHaveText('Generating')
  await expect(sandbox.prompt).toHaveValue(/word3 /)
  await expect(sandbox.prompt).toHaveJSProperty('readOnly', true)
  await expect(sandbox.prompt).toBeEnabled()
  await expect(sandbox.prompt).toBeFocused()
  await expect(sandbox.button('Redo previous')).toBeDisabled()
  await sandbox.stop.click()
  await expect(sandbox.status).toHaveText('Stopped')
  const text = await sandbox.prompt.inputValue()
  expect(text).toMatch(/^\[slow\]word0 word1 word2 word3 /)
  await expect.poll(() => scripted.server.asked[0]?.isAborted).toBe(true)
  await sandbox.page.waitForTimeout(200)
  await expect(sandbox.prompt).toHaveValue(text)
  await expect(sandbox.prompt).toBeFocused()
  await sandbox.prompt.press('Control+z')
  await expect(sandbox.prompt).toHaveValue('[slow]')
})

test('Escape stops before the first token, and leaves nothing behind', async ({ sandbox, page, scripted }) => {
  await sandbox.enter()
  await sandbox.ask('[silent]')
  await expect(sandbox.status).toHaveText('Generating')
  await page.keyboard.press('Escape')
  await expect(sandbox.status).toHaveText('Stopped')
  await expect(sandbox.prompt).toHaveValue('[silent]')
  await expect(sandbox.button('Redo previous')).toBeDisabled()
  await expect.poll(() => scripted.server.asked[0]?.isAborted).toBe(true)
})

test('the text is followed as it grows only from the bottom, and drawn at most once a frame', async ({ sandbox, page }) => {
  await sandbox.enter()
  await sandbox.ask('[lines]')
  const area = sandbox.prompt
  const gap = (): Promise<number> => area.evaluate((box: HTMLTextAreaElement) => box.scrollHeight - box.scrollTop - box.clientHeight)
  await expect(area).toHaveValue(/word60\n/)
  expect(await gap()).toBeLessThan(40)
  expect(await area.evaluate((box) => box.scrollTop)).toBeGreaterThan(100)
  await area.evaluate((box) => { box.scrollTop = 50 })
  await expect(area).toHaveValue(/word100\n/)
  expect(await area.evaluate((box) => box.scrollTop)).toBe(50)
  await page.keyboard.press('Escape')
})

test('what is typed by hand is undone in steps, across what the model wrote', async ({ sandbox }) => {
  await sandbox.enter()
  await sandbox.prompt.pressSequentially('Hello there')
  await sandbox.prompt.press('Control+Enter')
  await expect(sandbox.status).toHaveText(/^Finished/)
  await sandbox.prompt.pressSequentially(' and more')
  await expect(sandbox.prompt).toHaveValue('Hello there one two three and more')
  await sandbox.prompt.press('Control+z')
  await expect(sandbox.prompt).toHaveValue('Hello there one two three')
  await sandbox.prompt.press('Control+z')
  await expect(sandbox.prompt).toHaveValue('Hello there')
  await sandbox.prompt.press('Control+Shift+z')
  await sandbox.prompt.press('Control+y')
  await expect(sandbox.prompt).toHaveValue('Hello there one two three and more')
  await expect(sandbox.button('Redo')).toBeDisabled()
})

test('Classic Sandle brings its text, stop and restart text', async ({ sandbox, page, scripted }) => {
  await sandbox.enter()
  await page.getByRole('combobox', { name: 'Preset' }).selectOption('Classic Sandle')
  await expect(sandbox.prompt).toHaveValue(/Q: .*\nA:$/)
  const prompt = await sandbox.prompt.inputValue()
  await sandbox.generate.click()
  await expect(sandbox.prompt).toHaveValue(`${prompt} one two three\n\nQ:`)
  expect(scripted.server.asked[0]?.body).toMatchObject({ prompt, max_tokens: 20, temperature: 0.7, stop: ['\n'] })
  await sandbox.prompt.press('Alt+r')
  await expect.poll(() => scripted.server.asked.length).toBe(2)
  expect(scripted.server.asked[1]?.body.prompt).toBe(prompt)
})

test('the request is what the page shows, and nothing that the model cannot do', async ({ sandbox, page, scripted }) => {
  await sandbox.enter()
  await expect(sandbox.model).toHaveValue('scripted')
  await sandbox.number('Max tokens').fill('33')
  await sandbox.number('Temperature').fill('7')
  await expect(sandbox.number('Temperature')).toHaveValue('2')
  await sandbox.number('Top-p').pressSequentially('0.05')
  await sandbox.number('Top-p').fill('')
  await sandbox.number('Top-p').pressSequentially('0.05')
  await sandbox.number('Seed').fill('0')
  await sandbox.number('Top-k').fill('40')
  const stop = page.getByRole('textbox', { name: 'Stop sequences' })
  await stop.fill('\\n')
  await stop.press('Enter')
  await stop.fill('"')
  await page.getByRole('textbox', { name: 'Start text', exact: true }).fill('\\nA:')
  await page.getByRole('textbox', { name: 'Restart text' }).fill('\\n"')
  await page.getByRole('textbox', { name: 'Suffix' }).fill('the end')
  await sandbox.ask('Q')
  await expect(sandbox.prompt).toHaveValue('Q\nA: one two three\n"')
  expect(scripted.server.asked[0]).toMatchObject({ authorization: 'Bearer scripted-key_1' })
  expect(scripted.server.asked[0]?.body).toEqual({
    model: 'scripted', prompt: 'Q\nA:', max_tokens: 33, temperature: 2, top_p: 0.05, seed: 0, top_k: 40, stop: ['\n', '"'], suffix: 'the end',
    logprobs: 5, return_token_ids: true, stream: true, stream_options: { include_usage: true },
  })

  await sandbox.model.selectOption('org/plain')
  for (const name of ['Seed', 'Top-k', 'Completions', 'Presence penalty']) await expect(sandbox.number(name)).toHaveCount(0)
  await expect(page.getByRole('textbox', { name: 'Suffix' })).toHaveCount(0)
  await sandbox.ask('R')
  await expect(sandbox.prompt).toHaveValue('R\nA: one two three\n"')
  for (const field of ['seed', 'top_k', 'suffix']) expect(scripted.server.asked[1]?.body).not.toHaveProperty(field)
})

test('several completions are branches', async ({ sandbox, page }) => {
  await sandbox.enter()
  await sandbox.number('Completions').fill('3')
  await sandbox.ask('N')
  await expect(sandbox.prompt).toHaveValue('N one0 two0 three0')
  await expect(page.getByText('1/3')).toBeVisible()
  await sandbox.button('Next branch').click()
  await sandbox.button('Next branch').click()
  await expect(sandbox.prompt).toHaveValue('N one2 two2 three2')
  await expect(sandbox.button('Next branch')).toBeDisabled()
})

test('whitespace at the end is warned of, or stripped', async ({ sandbox, page, scripted }) => {
  await sandbox.enter()
  await sandbox.prompt.fill('Hello ')
  await expect(page.getByText('ends with whitespace')).toBeVisible()
  await page.getByRole('checkbox', { name: 'Strip whitespace' }).check()
  await expect(page.getByText('ends with whitespace')).toHaveCount(0)
  await sandbox.ask('Hello \n')
  await expect(sandbox.prompt).toHaveValue('Hello one two three')
  expect(scripted.server.asked[0]?.body.prompt).toBe('Hello')
})

test('the key is kept where it was told, and goes nowhere else', async ({ sandbox, page, scripted }) => {
  const stored = (): Promise<string> => page.evaluate(() => JSON.stringify([{ ...localStorage }, { ...sessionStorage }]))
  await sandbox.enter()
  await expect(sandbox.key).toHaveAttribute('type', 'password')
  expect(await stored()).not.toContain('scripted-key_1')
  await page.getByRole('radio', { name: 'in this tab' }).check()
  expect(await stored()).toMatch(/^\[\{(?!.*scripted-key_1.*\},\{).*scripted-key_1/)
  await page.reload()
  await expect(sandbox.key).toHaveValue('scripted-key_1')
  await page.getByRole('radio', { name: 'on this device' }).check()
  await page.getByRole('radio', { name: 'in memory' }).check()
  expect(await stored()).not.toContain('scripted-key_1')
  expect(page.url()).not.toContain('scripted-key_1')
  await page.getByRole('tab', { name: 'Code' }).click()
  await expect(page.locator('pre')).toContainText('$SANDLE_API_KEY')
  await expect(page.locator('pre')).not.toContainText('scripted-key_1')
  expect(scripted.server.asked.length).toBe(0)
})

test('the models are asked for when the key has been typed, not at every letter, and not again while none loads', async ({ sandbox, page, scripted }) => {
  await sandbox.open()
  const before = scripted.server.modelRequests
  await sandbox.key.pressSequentially('scripted-key_1', { delay: 20 })
  await expect(sandbox.model).toHaveValue('scripted')
  const asked = scripted.server.modelRequests - before
  expect(asked).toBeLessThan(4) // one, unless the machine stutters while it types the fourteen letters
  await page.waitForTimeout(2500)
  expect(scripted.server.modelRequests - before).toBe(asked)
})

test('text and settings survive a reload; Export and Import carry them', async ({ sandbox, page }) => {
  await sandbox.enter()
  await sandbox.ask('Kept')
  await expect(sandbox.prompt).toHaveValue('Kept one two three')
  await sandbox.number('Max tokens').fill('77')
  // At once: what is not stored yet is left behind for the next opening.
  await page.reload()
  await expect(sandbox.prompt).toHaveValue('Kept one two three')
  await expect(sandbox.number('Max tokens')).toHaveValue('77')

  const download = page.waitForEvent('download')
  await sandbox.button('Export').click()
  const path = await (await download).path()
  const text = readFileSync(path, 'utf8')
  expect(JSON.parse(text)).toMatchObject({ version: 1 })
  expect(text).not.toContain('scripted-key_1')

  await sandbox.prompt.fill('Something else')
  const chooser = page.waitForEvent('filechooser')
  await sandbox.button('Import').click()
  await (await chooser).setFiles(path)
  await expect(sandbox.prompt).toHaveValue('Kept one two three')
  await sandbox.button('Undo').click()
  await expect(sandbox.prompt).toHaveValue('Kept')
  await sandbox.button('Put back the earlier text').click()
  await expect(sandbox.prompt).toHaveValue('Something else')

  const second = page.waitForEvent('filechooser')
  await sandbox.button('Import').click()
  await (await second).setFiles({ name: 'x.json', mimeType: 'application/json', buffer: Buffer.from('{"a": 1}') })
  await expect(sandbox.alert).toContainText('not a file that Sandle exported')
  await expect(sandbox.prompt).toHaveValue('Something else')
})

test('keys and dialogs: ? opens the help, Escape closes it and does not stop the run', async ({ sandbox, page }) => {
  await sandbox.enter()
  await sandbox.ask('[slow]')
  await sandbox.prompt.evaluate((box) => box.blur())
  await page.keyboard.press('?')
  await expect(page.getByRole('dialog')).toBeVisible()
  await page.keyboard.press('Escape')
  await expect(page.getByRole('dialog')).toHaveCount(0)
  await expect(sandbox.status).toHaveText('Generating')
  await page.keyboard.press('Escape')
  await expect(sandbox.status).toHaveText('Stopped')
  await sandbox.prompt.fill('')
  await sandbox.prompt.pressSequentially('Why?')
  await expect(page.getByRole('dialog')).toHaveCount(0)
})

test('by keyboard alone the focus is never lost', async ({ sandbox, page }) => {
  await sandbox.enter()
  await sandbox.ask('[failing]')
  await sandbox.button('Retry').focus()
  await page.keyboard.press('Enter')
  await expect(sandbox.prompt).toBeFocused()
  await expect(sandbox.alert).toBeVisible()
  await sandbox.button('Dismiss').focus()
  await page.keyboard.press('Enter')
  await expect(sandbox.alert).toBeHidden()
  await expect(sandbox.prompt).toBeFocused()
  await sandbox.prompt.fill('Hello')
  await sandbox.button('Undo').focus()
  while (await sandbox.button('Undo').isEnabled()) await page.keyboard.press('Enter')
  await expect(sandbox.button('Redo')).toBeFocused()
})

test('a double click on Generate does not stop what it started', async ({ sandbox }) => {
  await sandbox.enter()
  await sandbox.prompt.fill('Twice')
  await sandbox.generate.dblclick()
  await expect(sandbox.prompt).toHaveValue('Twice one two three')
})

test('the theme is chosen and kept', async ({ sandbox, page }) => {
  const background = (): Promise<string> => page.evaluate(() => getComputedStyle(document.documentElement).backgroundColor)
  await page.emulateMedia({ colorScheme: 'light' })
  await sandbox.open()
  const light = await background()
  await page.getByRole('combobox', { name: 'Theme' }).selectOption('Dark')
  expect(await background()).not.toBe(light)
  await page.reload()
  expect(await background()).not.toBe(light)
  await page.getByRole('combobox', { name: 'Theme' }).selectOption('System')
  expect(await background()).toBe(light)
})

test('at 320 pixels everything is reached, and a missing key opens the sheet', async ({ sandbox, page }) => {
  await page.setViewportSize({ width: 320, height: 640 })
  await sandbox.open()
  await sandbox.ask('Hello')
  await expect(sandbox.key).toBeFocused()
  await expect(page.getByRole('dialog', { name: 'Parameters' })).toBeVisible()
  await sandbox.key.fill('scripted-key_1')
  await expect(page.getByText('3 models')).toBeVisible()
  await sandbox.button('Done').click()
  await sandbox.button('Retry').click()
  await expect(sandbox.prompt).toHaveValue('Hello one two three')
})

test('every control is at least 24 pixels in size', async ({ sandbox, page }) => {
  await sandbox.enter()
  const small = await page.evaluate(() => [...document.querySelectorAll<HTMLElement>('button, select, input, textarea, summary, header a')]
    .filter((each) => each.checkVisibility())
    .map((each) => ((each as HTMLInputElement).labels?.[0]?.querySelector('input') === each ? (each as HTMLInputElement).labels?.[0] as HTMLElement : each))
    .map((each) => ({ html: each.outerHTML.slice(0, 120), box: each.getBoundingClientRect() }))
    .filter(({ box }) => box.width < 24 || box.height < 24)
    .map(({ html, box }) => `${Math.round(box.width)}×${Math.round(box.height)} ${html}`))
  expect(small).toEqual([])
})

test('the tint lies under the text, line by line', { tag: '@narrow' }, async ({ sandbox, page }) => {
  await sandbox.enter()
  /** How far the end of the tint is from the end of the text, both seen from the bottom, and how tall the text is. */
  const measure = (): Promise<{ off: number; height: number }> => page.evaluate(() => {
    const box = document.querySelector('#prompt') as HTMLTextAreaElement
    box.scrollTop = box.scrollHeight
    box.dispatchEvent(new Event('scroll'))
    const end = box.getBoundingClientRect().bottom - parseFloat(getComputedStyle(box).paddingBottom)
    const tint = [...document.querySelectorAll('.mirror .model')].flatMap((each) => [...each.getClientRects()]).at(-1)
    const line = parseFloat(getComputedStyle(box).lineHeight)
    return { off: Math.abs(end - line / 2 - ((tint?.bottom ?? 0) - (tint?.height ?? 0) / 2)), height: box.scrollHeight }
  })
  const line = 'It was a bright cold day in April, and the clocks were striking thirteen; and so on, and on.\n'
  for (const text of [line.repeat(60), `${line.repeat(60)}\n\n`, `${line.repeat(60)}the end`, line.trim().repeat(60)]) {
    await sandbox.ask(text)
    await expect(sandbox.prompt).toHaveValue(`${text} one two three`)
    await expect(sandbox.status).toHaveText(/^Finished/)
    const { off, height } = await measure()
    expect(off).toBeLessThan(3)
    expect(height).toBeGreaterThan(1000)
  }
})

test('in a very long line the tint waits for a pause, and then lies where it should', async ({ sandbox, page }) => {
  await sandbox.enter()
  await sandbox.ask('word '.repeat(8000))
  await expect(sandbox.status).toHaveText(/^Finished/)
  const tint = page.locator('.mirror .model').last()
  await expect(tint).toBeVisible()
  await sandbox.prompt.press('Control+End')
  await page.keyboard.press('!')
  await expect(tint).toBeVisible()
  await sandbox.prompt.press('Control+Home')
  await page.evaluate(() => {
    new MutationObserver(() => console.log(`tint ${document.querySelector('.mirror .model')?.checkVisibility() ? 'on' : 'off'}`))
      .observe(document.querySelector('.mirror') as HTMLElement, { attributes: true, subtree: true })
  })
  const seen: string[] = []
  page.on('console', (message) => seen.push(message.text()))
  await page.keyboard.press('!')
  await expect.poll(() => seen).toContain('tint off')
  await expect(tint).toBeVisible()
  await expect(tint).toHaveText('one two three')
})
