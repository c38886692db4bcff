// Makes the README's pictures of the page from a running stack:
//
//   SANDLE_URL=http://127.0.0.1:8080 SANDLE_API_KEY=… npm run screenshots [-- FOLDER]
//
// The stack must serve sandle-tiny; the comparison takes the first two models (here sandle-tiny, and beside it the same from
// backend-llama with 4-bit weights). Seeds keep the pictures the same from one time to the next. With a FOLDER there are narrow
// pictures, too.
import { execFileSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { chromium } from '@playwright/test'

const url = process.env.SANDLE_URL ?? 'http://127.0.0.1:8080'
const key = process.env.SANDLE_API_KEY ?? ''
const folder = process.argv[2] ?? fileURLToPath(new URL('../../docs/images/', import.meta.url))
const WIDE = 992
const SIZES = [{ name: '', width: 1280, height: 800 }, ...(process.argv[2] ? [{ name: '-narrow', width: 320, height: 720 }] : [])]
const QUESTION = 'Q: What is the capital of France?\nA:'

const button = (page, name) => page.getByRole('button', { name })
const box = (page, name) => page.getByRole('spinbutton', { name })

/** Does something in the parameters, which are a sheet on a narrow page. */
async function inParameters(page, act) {
  const isSheet = page.viewportSize().width < WIDE
  if (isSheet) await button(page, /^parameters/i).click()
  await act()
  if (isSheet) await button(page, /^done/i).click()
}

async function open(browser, size, colorScheme) {
  const page = await browser.newPage({ viewport: size, colorScheme, locale: 'en-GB', reducedMotion: 'reduce' })
  await page.goto(url)
  await inParameters(page, async () => {
    await page.getByLabel('API key').fill(key)
    await page.locator('#model option[value="sandle-tiny"]').waitFor({ state: 'attached' })
  })
  await page.getByRole('combobox', { name: /^model/i }).selectOption('sandle-tiny')
  return page
}

async function set(page, numbers) {
  await inParameters(page, async () => {
    for (const [name, value] of Object.entries(numbers)) await box(page, new RegExp(`^${name}`, 'i')).fill(String(value))
  })
}

async function generate(page) {
  await button(page, /^generate/i).click()
  await page.getByText(/^Finished/).first().waitFor({ timeout: 120_000 })
}

const tab = (page, name) => page.getByRole('tab', { name }).click()

/** What each picture shows. */
const SCENES = {
  async write(page) {
    await page.getByRole('textbox', { name: /^prompt/i }).fill('Once upon a time')
    await set(page, { seed: 7 })
    await generate(page)
    await page.getByRole('textbox', { name: /^prompt/i }).focus()
  },
  async tokens(page) {
    await page.getByRole('textbox', { name: /^prompt/i }).fill(QUESTION)
    await set(page, { temperature: 0, 'max tokens': 16 })
    await generate(page)
    await tab(page, 'Tokens')
    await page.getByText(/^Scored/).waitFor()
    await page.getByRole('group', { name: 'Tokens' }).getByRole('button', { name: /Paris/ }).click()
    await page.getByRole('region', { name: 'Alternatives' }).waitFor()
  },
  async tree(page) {
    await page.getByRole('textbox', { name: /^prompt/i }).fill('Once upon a time')
    await set(page, { seed: 3, completions: 3, 'max tokens': 24 })
    await generate(page)
    await button(page, /^next branch/i).click()
    await set(page, { seed: 5, completions: 2 })
    await generate(page)
    await tab(page, 'Tree')
  },
  async compare(page) {
    await page.getByRole('textbox', { name: /^prompt/i }).fill('Once upon a time')
    await set(page, { seed: 3, temperature: 0.8, 'max tokens': 60 })
    await tab(page, 'Compare')
    const boxes = page.locator('#panel-Compare').getByRole('checkbox')
    await boxes.first().waitFor()
    const ready = Math.min(await boxes.count(), 2)
    for (let index = 0; index < ready; index += 1) await boxes.nth(index).check()
    await button(page, /^compare/i).click()
    await button(page, /^compare/i).waitFor({ timeout: 120_000 })
    await page.waitForTimeout(1500)
  },
}

const executablePath = process.env.SANDLE_CHROMIUM ?? execFileSync('which', ['chromium'], { encoding: 'utf8' }).trim()
const browser = await chromium.launch({
  executablePath,
  args: [
    ...(process.getuid?.() === 0 ? ['--no-sandbox'] : []),
    '--disable-background-networking', '--disable-component-update', '--disable-sync', '--no-first-run',
  ],
})
try {
  for (const [name, scene] of Object.entries(SCENES)) {
    for (const size of SIZES) {
      for (const colorScheme of ['light', 'dark']) {
        const page = await open(browser, { width: size.width, height: size.height }, colorScheme)
        await scene(page)
        await page.screenshot({ path: `${folder.replace(/\/?$/, '/')}${name}${size.name}-${colorScheme}.png` })
        await page.close()
      }
    }
  }
} finally {
  await browser.close()
}
