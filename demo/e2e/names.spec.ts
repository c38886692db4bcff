import { expect, test, type Sandbox } from './fixtures'

/**
 * The names that users' scripts rely on: roles and accessible names, matched at the start in any case. A change here is a change of the
 * page's interface, not of its looks.
 */

type Role = 'button' | 'textbox' | 'spinbutton' | 'combobox' | 'tab' | 'checkbox'

async function expectNamed(sandbox: Sandbox, role: Role, names: readonly string[]): Promise<void> {
  for (const name of names) await expect.soft(sandbox.page.getByRole(role, { name: new RegExp(`^${name}`, 'i') }).first(), `${role} ${name}`).toBeAttached()
}

async function unfold(sandbox: Sandbox): Promise<void> {
  for (const summary of await sandbox.page.locator('details:not([open]) > summary').all()) await summary.click()
}

test('the writing view has its names', async ({ sandbox, page }) => {
  await sandbox.enter()
  await unfold(sandbox)
  await expectNamed(sandbox, 'textbox', ['Prompt', 'Stop sequences', 'Start text', 'Restart text', 'Suffix'])
  await expectNamed(sandbox, 'button', ['Generate', 'Redo previous', 'Undo', 'Redo', 'Share', 'Export', 'Import', 'Chat to prompt'])
  await expectNamed(sandbox, 'checkbox', ['Add special tokens', 'Strip whitespace'])
  await expectNamed(sandbox, 'combobox', ['Model', 'Preset', 'Theme'])
  await expectNamed(sandbox, 'spinbutton', [
    'Max tokens', 'Temperature', 'Top-p', 'Top-k', 'Min-p', 'Presence penalty', 'Frequency penalty', 'Repetition penalty', 'Seed', 'Logprobs', 'Completions',
  ])
  await expect(page.getByLabel(/^API key/)).toHaveAttribute('type', 'password')
  for (const place of ['in memory', 'in this tab', 'on this device']) await expect(page.getByRole('radio', { name: new RegExp(`^Keep the key:.*${place}`) })).toBeAttached()
  await expect(page.getByRole('combobox', { name: 'Preset' }).locator('option', { hasText: 'Classic Sandle' })).toBeAttached()
  for (const theme of ['System', 'Light', 'Dark']) await expect(page.getByRole('combobox', { name: 'Theme' }).locator('option', { hasText: theme })).toBeAttached()
  await expect(sandbox.model.locator('option[value="scripted"]')).toBeAttached()
  expect(await page.getByRole('heading', { level: 1 }).count()).toBe(1)
})

test('each tab has its panel, and the views have their names', async ({ sandbox, page }) => {
  await sandbox.enter()
  for (const name of ['Write', 'Tokens', 'Tree', 'Compare', 'Code'] as const) {
    const panel = await sandbox.show(name)
    await expect(panel).toBeVisible()
    await expect(sandbox.tab(name)).toHaveAttribute('aria-selected', 'true')
    expect(await page.getByRole('tab', { selected: true }).count()).toBe(1)
  }
  await expectNamed(sandbox, 'button', ['Copy code', 'curl', 'Python'])
  await sandbox.show('Compare')
  await expectNamed(sandbox, 'button', ['Compare'])
  await expectNamed(sandbox, 'checkbox', ['scripted', 'org/wordy', 'org/plain'])
  await sandbox.show('Tree')
  await expect(page.getByRole('tree')).toBeVisible()
  await sandbox.show('Tokens')
  await expectNamed(sandbox, 'textbox', ['Text to score'])
  await expectNamed(sandbox, 'button', ['Score this text'])
})

test('what comes and goes has its names', async ({ sandbox, page, scripted }) => {
  await sandbox.enter()
  scripted.server.isHeld = false
  await sandbox.ask('[slow]')
  await expectNamed(sandbox, 'button', ['Stop'])
  await page.keyboard.press('Escape')
  await sandbox.ask('[cut]')
  await expect(sandbox.alert).toContainText('Interrupted')
  await expectNamed(sandbox, 'button', ['Continue', 'Retry'])
  await sandbox.button('Redo previous').click()
  await expect(sandbox.alert).toContainText('Interrupted')
  await expectNamed(sandbox, 'button', ['Previous branch', 'Next branch'])
})
