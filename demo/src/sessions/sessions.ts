import { computed, signal } from '@preact/signals-core'

import { save } from '../document/transfer'
import { emptyTree, textOf, type DocumentTree } from '../document/tree'
import { sessionWords as t } from '../i18n/sessions'
import { watch } from '../state/reactive'
import type { Sandbox } from '../state/sandbox'
import { readMark, writeMark } from './mark'
import { newId, titleOf, type SessionHead, type SessionMark } from './session'
import { listSessions, readSession, removeSession, renameSession, restoreSession, writeSession, type RemovedSession } from './store'

type Parts = Pick<Sandbox, 'document' | 'settings' | 'run' | 'models'>

/** After a change the session is saved this late, in milliseconds; a text so long that saving it is work is saved more seldom. */
const PAUSE_MS = 1000
const PAUSES_PER_WORK = 20

/**
 * Several documents with names, one of them this tab's. The tab's own record (document/store.ts) brings a reload back to the last
 * letter; a session is what other tabs and later days find.
 */
export class Sessions {
  /** The session that was deleted last, until something else is done. */
  readonly removed = signal<RemovedSession | null>(null)
  private readonly known = readMark()
  private readonly mark = signal<SessionMark>(this.known ?? { id: newId(), version: 0 })
  private readonly heads = signal<SessionHead[]>([])
  private readonly channel = typeof BroadcastChannel === 'undefined' ? null : new BroadcastChannel('sandle.sessions')
  /** What the session holds as far as this tab knows. A page that comes back to its session has changed nothing yet. */
  private kept: { tree: DocumentTree; settings: string } | null
  private timer: ReturnType<typeof setTimeout> | undefined
  private pauseMs = PAUSE_MS
  private queue = Promise.resolve()

  readonly current = computed(() => this.mark.value.id)
  /** All sessions, and this tab's even where it was never saved. */
  readonly list = computed(() => {
    const { id } = this.mark.value
    const title = titleOf(this.parts.document.text.value)
    const heads = this.heads.value.map((head) => (head.id === id ? { ...head, title } : head))
    return heads.some((head) => head.id === id) ? heads : [{ id, name: '', title, version: 0, savedAt: '' }, ...heads]
  })

  constructor(private readonly parts: Parts) {
    this.kept = this.known && this.snapshot()
    const keepPending = (): void => { if (this.timer !== undefined) void this.enqueue(() => this.keep(), false) }
    if (this.channel) this.channel.onmessage = () => void this.enqueue(() => this.refresh(), false)
    void this.enqueue(() => this.start(), false)
    watch(() => [parts.document.tree.value, { ...parts.settings }, parts.run.isRunning.value], () => this.schedule())
    document.addEventListener('visibilitychange', keepPending)
    window.addEventListener('pagehide', keepPending)
  }

  /** Keeps what the page holds as its session, and makes what comes next another one. */
  begin(): Promise<void> {
    return this.enqueue(() => this.beginAnew())
  }

  create(): Promise<void> {
    return this.enqueue(async () => {
      await this.beginAnew()
      this.show(this.mark.value, emptyTree())
    })
  }

  open(id: string): Promise<void> {
    return this.enqueue(async () => {
      await this.keep()
      this.removed.value = null
      if (!(await this.load(id))) this.parts.run.complain(t.unreadable)
    })
  }

  /** An empty name leaves the session to its first words. */
  rename(name: string): Promise<void> {
    return this.enqueue(async () => {
      await this.keep(true)
      await renameSession(this.mark.value.id, name)
      await this.tell()
    })
  }

  remove(): Promise<void> {
    return this.enqueue(async () => {
      await this.keep()
      this.removed.value = await removeSession(this.mark.value.id)
      await this.tell()
      const next = this.heads.value[0]
      if (next && await this.load(next.id)) return
      this.kept = null
      this.show({ id: newId(), version: 0 }, emptyTree())
    })
  }

  undoRemove(): Promise<void> {
    return this.enqueue(async () => {
      const { removed } = this
      if (!removed.value) return
      await this.keep()
      await restoreSession(removed.value)
      await this.load(removed.value.head.id)
      removed.value = null
      await this.tell()
    })
  }

  /** One thing at a time, in the order asked for; of a storage that fails only the reader who asked for something is told. */
  private enqueue(work: () => Promise<void>, isAsked = true): Promise<void> {
    this.queue = this.queue.then(work).catch(() => { if (isAsked) this.parts.run.complain(t.unsaved) })
    return this.queue
  }

  private schedule(): void {
    if (!this.parts.run.isRunning.value) this.timer ??= setTimeout(() => void this.enqueue(() => this.keep(), false), this.pauseMs)
  }

  private snapshot(): { tree: DocumentTree; settings: string } {
    return { tree: this.parts.document.tree.value, settings: JSON.stringify(this.parts.settings) }
  }

  /** Saves the session if it has changed. A blank page that was never saved is not worth it unless it `isNamed`. */
  private async keep(isNamed = false): Promise<void> {
    clearTimeout(this.timer)
    this.timer = undefined
    const { kept, mark } = this
    const now = this.snapshot()
    if (mark.value.version === 0 ? now.tree.nextId === 1 && !isNamed : kept?.tree === now.tree && kept.settings === now.settings) return
    const startMs = performance.now()
    const head = await writeSession(mark.value, titleOf(textOf(now.tree)), save(now.tree, this.parts.settings, new Date()))
    this.pauseMs = Math.max(PAUSE_MS, PAUSES_PER_WORK * (performance.now() - startMs))
    this.kept = now
    if (head.id !== mark.value.id) this.parts.run.status.value = t.beside(head.name)
    this.setMark(head)
    await this.tell()
  }

  private async refresh(): Promise<void> {
    this.heads.value = await listSessions()
  }

  /** The list has changed, for this tab and for the others. */
  private async tell(): Promise<void> {
    await this.refresh()
    this.channel?.postMessage(null)
  }

  private setMark(mark: SessionMark): void {
    this.mark.value = mark
    writeMark(mark)
  }

  private async beginAnew(): Promise<void> {
    await this.keep()
    this.removed.value = null
    this.kept = null
    this.setMark({ id: newId(), version: 0 })
  }

  private show(mark: SessionMark, tree: DocumentTree): void {
    const { document: doc, run } = this.parts
    doc.tree.value = tree
    doc.replaced.value = null
    this.setMark(mark)
    run.dismiss()
    run.status.value = ''
  }

  private async load(id: string): Promise<boolean> {
    const found = await readSession(id)
    if (!found) return false
    const { settings, models } = this.parts
    const { model, ...others } = found.restored.settings
    const isKnown = models.list.value.length === 0 || models.list.value.some((each) => each.id === model)
    Object.assign(settings, others, isKnown && model !== '' ? { model } : {})
    this.show(found.head, found.restored.tree)
    this.kept = this.snapshot()
    return true
  }

  /** A new tab shows what was saved last: if that is a session's text, the tab is on that session. */
  private async start(): Promise<void> {
    await this.refresh()
    const newest = this.known ? undefined : this.heads.value[0]
    const found = newest && await readSession(newest.id)
    if (found && textOf(found.restored.tree) === this.parts.document.text.value) {
      this.setMark(found.head)
      this.kept = this.snapshot()
    } else if (this.mark.value.version === 0) this.schedule()
  }
}
