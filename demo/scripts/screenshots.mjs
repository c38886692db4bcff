// Makes the README's pictures of the page from a running stack:
//
//   SANDLE_URL=http://127.0.0.1:8080 SANDLE_API_KEY=… npm run screenshots
//
// The stack must serve sandle-tiny; a seed keeps the pictures the same from one time to the next.
import { execFileSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { chromium } from '@playwright/test'

const url = process.env.SANDLE_URL ?? 'http://127.0.0.1:8080'
const key = process.env.SANDLE_API_KEY ?? ''
const folder = fileURLToPath(new URL('../../docs/images/', import.meta.url))
const PICTURES = [
  { name: 'write-light', width: 1280, height: 800, colorScheme: 'light' },
  { name: 'write-dark', width: 1280, height: 800, colorScheme: 'dark' },
  { name: 'write-narrow', width: 320, height: 720, colorScheme: 'light' },
]

const executablePath =
  process.env.SANDLE_CHROMIUM ?? execFileSync('which', ['chromium'], { encoding: 'utf8' }).trim()
const browser = await chromium.launch({
  executablePath,
  args: [
    ...(process.getuid?.() === 0 ? ['--no-sandbox'] : []),
    '--disable-background-networking',
    '--disable-component-update',
    '--disable-sync',
    '--no-first-run',
  ],
})
try {
  for (const { name, width, height, colorScheme } of PICTURES) {
    const page = await browser.newPage({ viewport: { width, height }, colorScheme, deviceScaleFactor: 1 })
    await page.goto(url)
    if (width >= 992) {
      await page.getByLabel('API key').fill(key)
    } else {
      await page.getByRole('button', { name: /^parameters/i }).click()
      await page.getByLabel('API key').fill(key)
      await page.keyboard.press('Escape')
    }
    await page.locator('select option[value="sandle-tiny"]').waitFor({ state: 'attached' })
    await page.getByRole('combobox', { name: /^model/i }).selectOption('sandle-tiny')
    await page.getByRole('textbox', { name: /^prompt/i }).fill('Once upon a time')
    if (width >= 992) await page.getByRole('spinbutton', { name: /^seed/i }).fill('7')
    await page.getByRole('button', { name: /^generate/i }).click()
    await page.getByText(/^Finished/).first().waitFor({ timeout: 120_000 })
    await page.getByLabel('API key').evaluate((field) => field.scrollIntoView({ block: 'center' }))
    await page.getByRole('textbox', { name: /^prompt/i }).focus()
    await page.screenshot({ path: `${folder}${name}.png` })
    await page.close()
  }
} finally {
  await browser.close()
}
