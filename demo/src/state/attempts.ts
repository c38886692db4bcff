import { computed, signal } from '@preact/signals-core'

import { Failure } from '../api/failure'
import { runs } from '../i18n/actions'
import { createCountdown } from './countdown'

/** After this many refusals for loading in a row, the page stops asking by itself. */
const MAX_WAITS = 120

/** News of the queue are told at most this often: they are read aloud. */
const QUEUE_NEWS_MS = 3000

/** One thing at a time that is asked of the model, and asked again while the model loads. Knows what became of it, not what it was. */
export class Attempts {
  readonly failure = signal<Failure | null>(null)
  /** For the live region: few words, few changes. */
  readonly status = signal('')
  private readonly isBusy = signal(false)
  private readonly countdown = createCountdown()
  /** Seconds until the next attempt while a model loads; 0 when there is none. */
  readonly waitS = this.countdown.secondsLeft
  readonly isRunning = computed(() => this.isBusy.value)
  private controller: AbortController | null = null
  private queueTimer: ReturnType<typeof setTimeout> | undefined
  private queueNewsMs = -Infinity

  /** Runs `attempt` until it succeeds, fails for good or is stopped; does nothing while another one runs. */
  async run(status: string, attempt: (signal: AbortSignal) => Promise<void>): Promise<void> {
    if (this.controller) return
    this.controller = new AbortController()
    const { signal } = this.controller
    this.isBusy.value = true
    this.failure.value = null
    this.status.value = status
    try {
      let waitS = await this.once(attempt, signal)
      for (let waits = 0; waitS !== null && waits < MAX_WAITS; waits += 1) {
        this.status.value = runs.waiting
        if (!(await this.countdown.run(waitS, signal))) return this.noteStop()
        waitS = await this.once(attempt, signal)
      }
      if (waitS !== null) this.status.value = ''
    } finally {
      clearTimeout(this.queueTimer)
      this.controller = null
      this.isBusy.value = false
    }
  }

  stop(): void {
    this.controller?.abort()
  }

  skipWait(): void {
    this.countdown.skip()
  }

  /** The request waits for its turn, this many turns away. */
  noteQueue(place: number): void {
    clearTimeout(this.queueTimer)
    this.queueTimer = setTimeout(() => {
      this.queueNewsMs = performance.now()
      this.status.value = runs.queued(place)
    }, this.queueNewsMs + QUEUE_NEWS_MS - performance.now())
  }

  /** The model that was awaited has come. */
  noteAnswer(status: string): void {
    clearTimeout(this.queueTimer)
    this.failure.value = null
    this.status.value = status
  }

  private noteStop(): void {
    this.noteAnswer(runs.stopped)
  }

  /** Gives the seconds to wait before asking again when the model is still loading, else null. */
  private async once(attempt: (signal: AbortSignal) => Promise<void>, signal: AbortSignal): Promise<number | null> {
    try {
      await attempt(signal)
      this.failure.value = null
      return null
    } catch (error) {
      if (signal.aborted) this.noteStop()
      else return this.fail(error instanceof Failure ? error : new Failure('malformed', error instanceof Error ? error.message : String(error)))
      return null
    }
  }

  private fail(failure: Failure): number | null {
    this.status.value = ''
    // The same refusal again, while waiting, would only be announced again.
    if (this.failure.value?.status !== 503 || failure.status !== 503) this.failure.value = failure
    return failure.status === 503 ? failure.retryAfterS : null
  }
}
