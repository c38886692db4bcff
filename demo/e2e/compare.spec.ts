import { expect, test } from './fixtures'

/** Several models side by side. */

test('one prompt goes to several models, whose answers stand side by side', { tag: '@narrow' }, async ({ sandbox, scripted }) => {
  await sandbox.enter()
  await sandbox.prompt.fill('Tell me [eight]')
  const panel = await sandbox.show('Compare')
  for (const id of ['scripted', 'org/wordy']) await panel.getByRole('checkbox', { name: new RegExp(`^${id}`) }).check()
  await panel.getByRole('button', { name: /^Compare/ }).click()
  await expect.poll(() => scripted.server.asked.map(({ body }) => body.model).sort()).toEqual(['org/wordy', 'scripted'])
  await expect(panel.getByText(/lighthouse/)).toHaveCount(2)
  for (const { body } of scripted.server.asked) expect(body.prompt).toBe('Tell me [eight]')
  await sandbox.show('Write')
  await expect(sandbox.prompt).toHaveValue('Tell me [eight]')
})
