import { expect, test, type Sandbox } from './fixtures'

/** The tree of all that was written. */

async function forked(sandbox: Sandbox): Promise<void> {
  await sandbox.enter()
  await sandbox.ask('Twice')
  await expect(sandbox.status).toHaveText(/^Finished/)
  await sandbox.prompt.press('Control+z')
  await sandbox.ask('Twice upon')
  await expect(sandbox.prompt).toHaveValue('Twice upon one two three')
  await expect(sandbox.status).toHaveText(/^Finished/)
  await sandbox.button('Redo previous').click()
  await expect(sandbox.page.getByText('2/2').first()).toBeVisible()
  await expect(sandbox.status).toHaveText(/^Finished/)
}

test('the tree shows every branch, and any of them can be shown again by keyboard', { tag: '@narrow' }, async ({ sandbox, page }) => {
  await forked(sandbox)
  await sandbox.show('Tree')
  const items = page.getByRole('treeitem')
  await expect(page.getByRole('tree')).toBeVisible()
  expect(await items.count()).toBeGreaterThanOrEqual(3)
  await expect(page.locator('[role=treeitem][tabindex="0"]')).toHaveCount(1)
  await expect(page.locator('[role=treeitem][aria-selected="true"]')).toHaveCount(1)
  const levels = await items.evaluateAll((all) => all.map((each) => Number(each.getAttribute('aria-level'))))
  expect(Math.max(...levels)).toBeGreaterThan(1)

  await page.locator('[role=treeitem][tabindex="0"]').focus()
  await page.keyboard.press('Home')
  await expect(items.first()).toBeFocused()
  await page.keyboard.press('ArrowDown')
  await expect(items.nth(1)).toBeFocused()
  await page.keyboard.press('End')
  await expect(items.last()).toBeFocused()
  const shown: string[] = []
  for (let at = await items.count() - 1; at >= 0; at -= 1) {
    await items.nth(at).focus()
    await page.keyboard.press('Enter')
    await sandbox.show('Write')
    shown.push(await sandbox.prompt.inputValue())
    await sandbox.show('Tree')
  }
  expect(shown).toContain('Twice one two three')
  expect(shown).toContain('Twice upon one two three')
})

test('Alt and the arrows walk through the branches', async ({ sandbox, page }) => {
  await forked(sandbox)
  await sandbox.prompt.focus()
  await page.keyboard.press('Alt+ArrowLeft')
  await expect(page.getByText('1/2').first()).toBeVisible()
  await page.keyboard.press('Alt+ArrowRight')
  await expect(page.getByText('2/2').first()).toBeVisible()
})
