import { execFileSync } from 'node:child_process'

import { defineConfig } from '@playwright/test'

/** The system's browser: nothing is downloaded. */
function findChromium(): string | undefined {
  const told = process.env.SANDLE_CHROMIUM ?? process.env.CHROMIUM_PATH
  if (told) return told
  for (const name of ['chromium', 'chromium-browser', 'google-chrome']) {
    try {
      return execFileSync('which', [name], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] }).trim()
    } catch {
      continue
    }
  }
  return undefined
}

const isRoot = process.getuid?.() === 0

/** What measures the page: `npm run e2e:speed`, while the machine does nothing else. */
const SPEED = /speed\.spec\.ts/

/** Every other test runs on a wide page; those tagged for it also run narrow, dark and in forced colours. */
const PROJECTS = [
  { name: 'speed', testMatch: SPEED, workers: 1, use: {} },
  { name: 'desktop', testIgnore: SPEED, use: {} },
  { name: 'narrow', grep: /@narrow/, use: { viewport: { width: 320, height: 640 }, hasTouch: true } },
  { name: 'dark', grep: /@dark/, use: { colorScheme: 'dark' as const } },
  { name: 'forced', grep: /@forced/, use: { contextOptions: { forcedColors: 'active' as const, reducedMotion: 'reduce' as const } } },
]

export default defineConfig({
  testDir: 'e2e',
  // Generous, for machines that do other work meanwhile.
  timeout: 60_000,
  expect: { timeout: 15_000 },
  fullyParallel: true,
  workers: 2,
  forbidOnly: Boolean(process.env.CI),
  // What passes only then is listed as flaky, at the end and in run-tests.bash's summary: a test to be mended.
  retries: process.env.CI ? 1 : 0,
  reporter: [['list']],
  projects: PROJECTS,
  use: {
    locale: 'en-GB',
    viewport: { width: 1280, height: 800 },
    launchOptions: {
      executablePath: findChromium(),
      args: [
        '--disable-background-networking', '--disable-component-update', '--disable-sync', '--no-first-run',
        ...(isRoot ? ['--no-sandbox'] : []),
      ],
    },
    trace: 'off',
  },
})
