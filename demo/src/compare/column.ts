import { computed, signal } from '@preact/signals-core'

import { complete } from '../api/client'
import type { CompletionRequest } from '../api/request'
import type { NodeId, RunMeta, Token } from '../document/tree'
import { Attempts } from '../state/attempts'
import { batchByFrame } from '../state/frames'
import { RunRecord } from '../state/runRecord'

export type Ask = typeof complete

export type ColumnState = 'waiting' | 'writing' | 'failed' | 'stopped' | 'finished'

/** One model's answer in a comparison. What goes wrong in it stays in it; while the model loads it asks again. */
export class Column {
  readonly text = signal('')
  /** They concatenate to the text, or there are none. */
  readonly tokens = signal<readonly Token[]>([])
  readonly finish = signal<string | null>(null)
  readonly figures = signal<Pick<RunMeta, 'usage' | 'ttftMs' | 'tps'>>({ usage: null, ttftMs: null, tps: null })
  readonly summary = signal('')
  /** The branch of the document that the answer has become. */
  readonly adopted = signal<NodeId | null>(null)
  /** How many turns away its own is, until it has come; 0 when it is not known. */
  readonly place = signal(0)
  private readonly attempts = new Attempts()
  private readonly hasEnded = signal(false)
  readonly failure = this.attempts.failure
  /** Seconds until it asks again while its model loads. */
  readonly waitS = this.attempts.waitS
  readonly isRunning = this.attempts.isRunning
  readonly state = computed<ColumnState>(() => {
    if (this.waitS.value > 0) return 'waiting'
    if (this.isRunning.value) return 'writing'
    if (this.failure.value) return 'failed'
    return this.hasEnded.value ? 'finished' : 'stopped'
  })

  constructor(readonly request: CompletionRequest, private readonly ask: Ask = complete) {}

  get model(): string {
    return this.request.model
  }

  /** Settles once the answer is over, however it ended. */
  run(key: string): Promise<void> {
    return this.attempts.run('', (signal) => this.attempt(key, signal))
  }

  stop(): void {
    this.attempts.stop()
  }

  private async attempt(key: string, signal: AbortSignal): Promise<void> {
    const record = new RunRecord(this.request, { run: '', base: 0, outputs: [0] })
    const batch = batchByFrame(() => this.take(record))
    this.text.value = ''
    this.tokens.value = []
    this.place.value = 0
    try {
      for await (const event of this.ask(this.request, key, signal)) {
        if (signal.aborted) break
        this.place.value = event.type === 'queue' ? event.place : 0
        record.add(event)
        batch.request()
      }
      signal.throwIfAborted()
      this.hasEnded.value = true
    } finally {
      batch.flush()
      this.finish.value = record.finishes[0] ?? null
      this.figures.value = record.figures()
      this.summary.value = record.summary()
    }
  }

  /** Shows what has come since the last frame. */
  private take(record: RunRecord): void {
    const news = record.gathering.take().find(({ index }) => index === 0)
    if (!news) return
    if (news.text !== '') record.noteText()
    this.text.value += news.text
    this.tokens.value = news.tokens
  }
}
