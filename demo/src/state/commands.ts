import { restore, save } from '../document/transfer'
import { textOf } from '../document/tree'
import { actions as t } from '../i18n/actions'
import { unescapeText } from '../settings/escapes'
import type { Preset } from '../settings/presets'
import { downloadJson, readJsonFile } from './files'
import type { Sandbox } from './sandbox'

export type Way = 'generate' | 'redoPrevious' | 'replay' | 'retry' | 'resume'

/** What the reader can ask of the sandbox as a whole, by a button or by a key. */
export class Commands {
  constructor(private readonly sandbox: Sandbox) {}

  start(way: Way): void {
    const { run, tab } = this.sandbox
    this.takeDraft()
    if (way !== 'replay') tab.value = 'Write'
    this.leaveTrouble()
    void run[way]()
  }

  dismiss(): void {
    this.leaveTrouble()
    this.sandbox.run.dismiss()
  }

  stepBranch(by: -1 | 1): void {
    const { document: doc, run } = this.sandbox
    if (run.isRunning.value || !doc.fork.value) return
    doc.stepBranch(by)
    run.status.value = t.branchOf(doc.fork.value.at + 1, doc.fork.value.branches.length)
  }

  /** The caret shows where the chosen fork is. */
  stepFork(by: -1 | 1): void {
    const { document: doc, run } = this.sandbox
    if (run.isRunning.value || !doc.fork.value) return
    doc.stepFork(by)
    const { parent, at, branches } = doc.fork.value
    const offset = textOf(doc.tree.value, parent).length
    const box = document.getElementById('prompt') as HTMLTextAreaElement | null
    box?.setSelectionRange(offset, offset)
    run.status.value = t.forkOf(doc.forks.value.indexOf(doc.fork.value) + 1, doc.forks.value.length, at + 1, branches.length)
  }

  applyPreset(preset: Preset): void {
    const { document: doc, settings } = this.sandbox
    doc.set(preset.text)
    Object.assign(settings, structuredClone(preset.settings), { model: settings.model })
  }

  exportFile(): void {
    downloadJson(save(this.sandbox.document.tree.value, this.sandbox.settings, new Date()), 'sandle.json')
  }

  async importFile(file: File): Promise<void> {
    const { document: doc, settings, models, sessions, run } = this.sandbox
    try {
      const restored = restore(await readJsonFile(file))
      await sessions.begin()
      doc.replace(restored.tree)
      const known = models.list.value.some(({ id }) => id === restored.settings.model)
      Object.assign(settings, restored.settings, known || settings.model === '' ? {} : { model: settings.model })
      run.status.value = t.imported(file.name)
    } catch (error) {
      run.complain(error instanceof Error ? error.message : t.unreadable)
    }
  }

  /** What is typed into the field of stop sequences counts, although Enter was not pressed. */
  private takeDraft(): void {
    const { settings, stopDraft } = this.sandbox
    const stop = unescapeText(stopDraft.value)
    if (stop !== '' && !settings.stop.includes(stop)) settings.stop = [...settings.stop, stop]
    stopDraft.value = ''
  }

  /** The buttons beside an error go with it; who pressed one by the keyboard goes on in the text. */
  private leaveTrouble(): void {
    if (document.activeElement?.closest('.trouble')) document.getElementById('prompt')?.focus()
  }
}
