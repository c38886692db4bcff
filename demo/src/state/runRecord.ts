import type { CompletionRequest } from '../api/request'
import type { CompletionEvent, Usage } from '../api/wire'
import type { RunPlace } from '../document/run'
import type { RunMeta } from '../document/tree'
import { duration, runs } from '../i18n/actions'
import { formatDecimal } from '../i18n/catalogue'
import { Gathering } from './gathering'

/** What one request has brought, and its figures: how each choice ended, what it cost, how fast it came. */
export class RunRecord {
  readonly finishes: (string | null)[]
  readonly gathering: Gathering
  usage: Usage | null = null
  private firstMs: number | null = null
  private readonly startMs = performance.now()

  constructor(readonly request: CompletionRequest, readonly place: RunPlace) {
    this.finishes = place.outputs.map(() => null)
    this.gathering = new Gathering(request.echo && typeof request.prompt === 'string' ? request.prompt : '')
  }

  add(event: CompletionEvent): void {
    if (event.type === 'usage') this.usage = event.usage
    else if (event.type === 'finish') this.finishes[event.index] = event.reason
    else this.gathering.add(event)
  }

  get hasText(): boolean {
    return this.firstMs !== null
  }

  noteText(): void {
    this.firstMs ??= performance.now()
  }

  figures(): Pick<RunMeta, 'usage' | 'ttftMs' | 'tps'> {
    const tokens = this.usage?.completionTokens ?? 0
    const seconds = this.firstMs === null ? 0 : (performance.now() - this.firstMs) / 1000
    return {
      usage: this.usage,
      ttftMs: this.firstMs === null ? null : this.firstMs - this.startMs,
      tps: tokens > 1 && seconds > 0.05 ? (tokens - 1) / seconds : null,
    }
  }

  /** For the live region. */
  verdict(): string {
    const tokens = this.usage?.completionTokens
    return tokens === undefined ? runs.finished : runs.finishedTokens(tokens)
  }

  /** For the eye. */
  summary(): string {
    const { usage, ttftMs, tps } = this.figures()
    return [
      this.finishes.includes('length') ? runs.reachedMax : '',
      usage ? runs.promptTokens(usage.promptTokens) : '',
      tps === null ? '' : runs.rate(formatDecimal(tps, tps < 10 ? 1 : 0)),
      ttftMs === null ? '' : runs.first(duration(ttftMs)),
    ].filter((part) => part !== '').join(' · ')
  }
}

export function metaOf(request: CompletionRequest): RunMeta {
  const { model, prompt: _, stream: __, stream_options: ___, ...params } = request
  return { model, params, finish: null, usage: null, ttftMs: null, tps: null }
}
