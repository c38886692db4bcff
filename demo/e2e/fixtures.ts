import { test as base, type BrowserContext, type Locator, type Page } from '@playwright/test'

import { findNginx, startNginx, type Front } from './nginx'
import { KEY, ScriptedServer } from './scripted-server'

/** What every test gets: a page that must break no policy, ask no third party and throw nothing, and a server. */

export class Sandbox {
  readonly prompt: Locator
  readonly status: Locator
  readonly alert: Locator
  readonly generate: Locator
  readonly stop: Locator
  readonly key: Locator
  readonly model: Locator

  constructor(readonly page: Page, readonly url: string, private readonly apiKey: string) {
    this.prompt = page.getByRole('textbox', { name: 'Prompt' })
    this.status = page.getByRole('status')
    this.alert = page.getByRole('alert')
    this.generate = page.getByRole('button', { name: 'Generate' })
    this.stop = page.getByRole('button', { name: 'Stop', exact: true })
    this.key = page.getByLabel('API key')
    this.model = page.getByRole('combobox', { name: 'Model' })
  }

  button(name: string): Locator {
    return this.page.getByRole('button', { name, exact: true })
  }

  number(name: string): Locator {
    return this.page.getByRole('spinbutton', { name, exact: true })
  }

  /** A token of the token view, by what it shows; the first when there are several. */
  token(shown: string): Locator {
    return this.page.getByRole('button', { name: new RegExp(`^${shown.replace(/[\\^$.*+?()[\]{}|]/g, '\\$&')} (\\d|<|no probability)`) }).first()
  }

  /** The bars of the token in hand. */
  get bars(): Locator {
    return this.page.getByRole('region', { name: 'Alternatives' }).first()
  }

  tab(name: 'Write' | 'Tokens' | 'Tree' | 'Compare' | 'Code'): Locator {
    return this.page.getByRole('tab', { name, exact: true })
  }

  /** Chooses a tab and gives its panel. */
  async show(name: 'Write' | 'Tokens' | 'Tree' | 'Compare' | 'Code'): Promise<Locator> {
    await this.tab(name).click()
    return this.page.getByRole('tabpanel', { name, exact: true })
  }

  async open(): Promise<void> {
    await this.page.goto(this.url)
    await this.prompt.waitFor()
  }

  /** Opens the sheet in which a narrow page keeps the settings; a wide page has them beside the text. */
  async openSettings(): Promise<void> {
    if (!(await this.key.isVisible())) await this.button('Parameters').click()
  }

  async closeSettings(): Promise<void> {
    if (await this.button('Done').isVisible()) await this.button('Done').click()
  }

  /** Opens the dialog with what the key has used, and gives it. */
  async openUsage(): Promise<Locator> {
    await this.openSettings()
    await this.button('Usage').click()
    return this.page.getByRole('dialog', { name: 'Usage' })
  }

  /** Opens the page with the key entered and the models there. */
  async enter(): Promise<void> {
    await this.open()
    await this.openSettings()
    await this.key.fill(this.apiKey)
    await this.closeSettings()
    await this.page.waitForFunction(() => document.querySelectorAll('#model option').length > 0 && (document.querySelector('#model') as HTMLSelectElement).value !== '')
  }

  async ask(prompt: string): Promise<void> {
    await this.prompt.fill(prompt)
    await this.prompt.press('Control+Enter')
  }
}

interface PerTest {
  complaints: string[]
  site: string
  apiKey: string
  sandbox: Sandbox
  /** The page in a browser that has never seen it, at an address of the same site. */
  newcomer: (address?: string) => Promise<Sandbox>
}

interface PerWorker {
  scripted: { server: ScriptedServer; url: string }
}

async function startFront(port: number): Promise<Front> {
  const nginx = findNginx()
  if (nginx !== null) return startNginx(nginx, port)
  console.warn('\n*** nginx was not found: the page is NOT tested behind it (on Debian: apt-get install nginx-light) ***\n')
  return { url: `http://127.0.0.1:${port}`, stop: () => Promise.resolve() }
}

/** What the browser itself writes to the console when an answer is a refusal or breaks off, as many tests want it to. */
const EXPECTED_NOISE = /^Failed to load resource: /

/** Writes down what no page may do, whatever page of the context does it. */
export async function watch(context: BrowserContext, origin: string, complaints: string[]): Promise<void> {
  context.on('request', (request) => {
    if (!/^(blob|data):/.test(request.url()) && new URL(request.url()).origin !== origin) complaints.push(`third party: ${request.url()}`)
  })
  context.on('weberror', (error) => complaints.push(`thrown: ${error.error().message}`))
  context.on('console', (message) => {
    if (/^(error|warning)$/.test(message.type()) && !EXPECTED_NOISE.test(message.text())) complaints.push(`${message.type()}: ${message.text()}`)
  })
  await context.addInitScript(() => {
    document.addEventListener('securitypolicyviolation', (event) => console.error(`Content Security Policy: ${event.violatedDirective} ${event.blockedURI}`))
  })
}

export const test = base.extend<PerTest, PerWorker>({
  scripted: [async ({}, use) => { // eslint-disable-line no-empty-pattern -- Playwright reads the pattern
    const server = new ScriptedServer()
    const front = await startFront(await server.start())
    await use({ server, url: front.url })
    await front.stop()
    await server.stop()
  }, { scope: 'worker' }],

  site: ({ scripted }, use) => use(scripted.url),
  apiKey: ({ scripted: _ }, use) => use(KEY),

  complaints: async ({ context, site }, use) => {
    const complaints: string[] = []
    await watch(context, new URL(site).origin, complaints)
    await use(complaints)
    base.expect(complaints).toEqual([])
  },

  sandbox: async ({ page, site, apiKey, scripted, complaints: _ }, use) => {
    scripted.server.reset()
    await use(new Sandbox(page, site, apiKey))
  },

  newcomer: async ({ browser, site, apiKey, complaints }, use) => {
    const contexts: BrowserContext[] = []
    await use(async (address = site) => {
      const context = await browser.newContext()
      contexts.push(context)
      await watch(context, new URL(site).origin, complaints)
      return new Sandbox(await context.newPage(), address, apiKey)
    })
    for (const each of contexts) await each.close()
  },
})

export { expect } from '@playwright/test'
