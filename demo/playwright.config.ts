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

export default defineConfig({
  testDir: 'e2e',
  timeout: 30_000,
  workers: 2,
  forbidOnly: Boolean(process.env.CI),
  reporter: [['list']],
  use: {
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
