import { computed, ref, shallowRef } from 'vue'

import { complete } from '../api/client'
import type { CompletionRequest } from '../api/request'
import { Attempts } from '../composables/attempts'
import { batchByFrame } from '../composables/frames'
import { RunRecord } from '../composables/runRecord'
import type { NodeId, RunMeta, Token } from '../document/tree'

export type Ask = typeof complete

export type ColumnState = 'waiting' | 'writing' | 'failed' | 'stopped' | 'finished'

/** One model's answer in a comparison. What goes wrong in it stays in it; while the model loads it asks again. */
export class Column {
  readonly text = shallowRef('')
  /** They concatenate to the text, or there are none. */
  readonly tokens = shallowRef<readonly Token[]>([])
  readonly finish = shallowRef<string | null>(null)
  readonly figures = shallowRef<Pick<RunMeta, 'usage' | 'ttftMs' | 'tps'>>({ usage: null, ttftMs: null, tps: null })
  readonly summary = ref('')
  /** The branch of the document that the answer has become. */
  readonly adopted = ref<NodeId | null>(null)
  /** How many turns away its own is, until it has come; 0 when it is not known. */
  readonly place = ref(0)
  private readonly attempts = new Attempts()
  private readonly hasEnded = ref(false)
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
