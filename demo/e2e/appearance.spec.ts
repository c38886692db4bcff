import { expect, test } from './fixtures'

/** The page as it looks: theme, width, sizes, and the tint under the text. */

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

test('English comes with the page, and another language before anything is shown', async ({ sandbox, page, newcomer }) => {
  const fetched: string[] = []
  page.on('request', (request) => fetched.push(new URL(request.url()).pathname))
  await sandbox.open()
  await expect(sandbox.generate).toBeVisible()
  expect(fetched.filter((path) => path.endsWith('.json'))).toEqual([])
  const { page: other, url } = await newcomer()
  await other.addInitScript(() => {
    localStorage.setItem('sandle.language', 'fr')
    new MutationObserver(() => {
      const words = document.querySelector('#tab-Write')?.textContent
      if (words && words !== 'Écrire') console.error(`shown: ${words}`) // which no page may write
    }).observe(document, { childList: true, subtree: true })
  })
  await other.goto(url)
  await expect(other.getByRole('tab', { name: 'Écrire' })).toBeVisible()
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
