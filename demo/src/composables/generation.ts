import { computed, ref, shallowRef, type Ref } from 'vue'

import { complete } from '../api/client'
import { Failure } from '../api/failure'
import { buildRequest, type CompletionRequest } from '../api/request'
import { appendOutput, beginRun, endRun, previousRunBase, trimmedBase } from '../document/run'
import { textOf, type NodeId } from '../document/tree'
import { runs } from '../i18n/actions'
import type { Settings } from '../settings/settings'
import { batchByFrame } from './frames'
import { metaOf, RunRecord } from './runRecord'
import { useCountdown } from './useCountdown'
import type { SandboxDocument } from './useDocument'

/** After this many refusals for loading in a row, the page stops asking by itself. */
const MAX_WAITS = 120

interface Parts {
  document: SandboxDocument
  settings: Settings
  key: Ref<string>
  capabilities: () => readonly string[] | null
  /** Called when a run has learnt something about the model's state. */
  onModelNews: () => void
}

/** Where a run starts, and the head it left when it failed: an edit since then is respected by Retry. */
interface Start {
  base: NodeId
  startText: string
  failedHead?: NodeId
}

/** Runs of the model on the document, one at a time. */
export class Generation {
  readonly failure = shallowRef<Failure | null>(null)
  /** Whether the failed run left text that can be continued. */
  readonly canContinue = ref(false)
  /** For the live region: few words, few changes. */
  readonly status = ref('')
  /** Figures of the last run, for the eye only. */
  readonly detail = ref('')
  private readonly isStreaming = ref(false)
  private readonly countdown = useCountdown()
  /** Seconds until the next attempt while a model loads; 0 when there is none. */
  readonly waitS = this.countdown.secondsLeft
  readonly isRunning = computed(() => this.isStreaming.value || this.waitS.value > 0)
  private controller: AbortController | null = null
  private failed: Start | null = null

  constructor(private readonly parts: Parts) {}

  generate(): Promise<void> {
    return this.start({ base: this.head, startText: this.parts.settings.startText })
  }

  /** Another answer in place of the last one, which stays as a branch. */
  async redoPrevious(): Promise<void> {
    const base = previousRunBase(this.parts.document.tree.value)
    if (base !== null) await this.start({ base, startText: this.parts.settings.startText })
  }

  /** The failed run again: from where it began or, if the text has been changed since, from what it is now. */
  async retry(): Promise<void> {
    if (this.waitS.value > 0) this.countdown.skip()
    else if (this.failed?.failedHead === this.head) await this.start(this.failed)
    else await this.generate()
  }

  /** Goes on from the text that an interrupted run left. */
  resume(): Promise<void> {
    return this.start({ base: this.head, startText: '' })
  }

  stop(): void {
    this.controller?.abort()
  }

  dismiss(): void {
    this.failure.value = null
  }

  /** Something that went wrong elsewhere, in the place where the reader looks for it. */
  complain(message: string): void {
    this.canContinue.value = false
    this.failure.value = new Failure('file', message)
  }

  private get head(): NodeId {
    return this.parts.document.tree.value.head
  }

  private async start(start: Start): Promise<void> {
    if (this.controller) return
    this.controller = new AbortController()
    const { signal } = this.controller
    this.failure.value = null
    this.status.value = runs.generating
    this.detail.value = ''
    try {
      let waitS = await this.attempt(start, signal)
      for (let waits = 0; waitS !== null && waits < MAX_WAITS; waits += 1) {
        this.status.value = runs.waiting
        if (!(await this.countdown.run(waitS, signal))) {
          this.dismiss()
          this.status.value = runs.stopped
          return
        }
        waitS = await this.attempt(start, signal)
      }
      if (waitS !== null) this.status.value = ''
    } finally {
      this.controller = null
    }
  }

  /** One request. Gives the seconds to wait before asking again when the model is still loading, else null. */
  private async attempt(start: Start, signal: AbortSignal): Promise<number | null> {
    const { document: doc, settings, capabilities, onModelNews } = this.parts
    const [tree, from] = settings.stripsWhitespace ? trimmedBase(doc.tree.value, start.base) : [doc.tree.value, start.base]
    const request = buildRequest(settings, textOf(tree, from) + start.startText, capabilities())
    const [begun, place] = beginRun(tree, from, `run-${tree.nextId}`, request.n ?? 1, start.startText, metaOf(request))
    doc.tree.value = begun
    const record = new RunRecord(place)
    this.isStreaming.value = true
    try {
      await this.follow(record, request, signal)
      this.close(record, settings.restartText)
      this.status.value = record.verdict()
      this.failure.value = null
      return null
    } catch (error) {
      this.close(record, '')
      return this.fail(error, { ...start, failedHead: this.head }, record, signal)
    } finally {
      this.isStreaming.value = false
      onModelNews()
    }
  }

  /** Writes what comes into the document, one update a frame. */
  private async follow(record: RunRecord, request: CompletionRequest, signal: AbortSignal): Promise<void> {
    const { tree } = this.parts.document
    const pending = new Map<number, string>()
    const batch = batchByFrame(() => {
      for (const [index, text] of pending) {
        const id = record.place.outputs[index]
        if (id !== undefined) tree.value = appendOutput(tree.value, id, text)
      }
      pending.clear()
    })
    try {
      for await (const event of complete(request, this.parts.key.value, signal)) {
        if (signal.aborted) break
        if (event.type === 'usage') record.usage = event.usage
        else if (event.type === 'finish') record.finishes[event.index] = event.reason
        else if (event.type === 'text') {
          if (!record.hasText) this.onFirstText(record)
          pending.set(event.index, (pending.get(event.index) ?? '') + event.text)
          batch.request()
        }
      }
    } finally {
      batch.flush()
    }
    signal.throwIfAborted()
  }

  private onFirstText(record: RunRecord): void {
    record.noteText()
    this.failure.value = null // the model that was awaited has come
    this.status.value = runs.generating
  }

  private close(record: RunRecord, restartText: string): void {
    const { tree } = this.parts.document
    tree.value = endRun(tree.value, record.place, record.finishes, restartText, record.figures())
    this.detail.value = record.summary()
  }

  private fail(error: unknown, start: Start, record: RunRecord, signal: AbortSignal): number | null {
    if (signal.aborted) {
      this.failure.value = null
      this.status.value = runs.stopped
      return null
    }
    const failure = error instanceof Failure ? error : new Failure('malformed', error instanceof Error ? error.message : String(error))
    this.failed = start
    this.status.value = ''
    this.detail.value = ''
    this.canContinue.value = record.hasText
    // The same refusal again, while waiting, would only be announced again.
    if (this.failure.value?.status !== 503 || failure.status !== 503) this.failure.value = failure
    return failure.status === 503 ? failure.retryAfterS : null
  }
}
