import { createParser } from 'eventsource-parser'

import { failures } from '../i18n/failures'
import { Failure } from './failure'
import { readCompletion, readError, type CompletionEvent } from './wire'

/**
 * Turns the text of an event stream, cut anywhere, into completion events.
 *
 * Owns what the events mean and what ends a stream; the framing (CRLF, comments, several `data:` lines) is
 * eventsource-parser's. Knows nothing of fetch: bytes are decoded, by a streaming TextDecoder, before they come here.
 */
class EventCollector {
  /** True once `[DONE]` has come; what follows it is not read. */
  isDone = false
  /** What the stream reported as an error, if anything. */
  failure: Failure | null = null
  private readonly parser = createParser({ onEvent: (event) => this.onData(event.data), onComment: (comment) => this.onComment(comment) })
  private events: CompletionEvent[] = []
  private isEnding = false

  constructor(private readonly requestId: string | null) {}

  push(text: string): CompletionEvent[] {
    this.parser.feed(text)
    const events = this.events
    this.events = []
    return events
  }

  end(): CompletionEvent[] {
    this.isEnding = true
    return this.push('\n\n') // the last event may lack its blank line
  }

  /** While a request waits for its turn the server says how far it is; other comments only keep the connection alive. */
  private onComment(comment: string): void {
    const place = /^queue (\d+)/.exec(comment)?.[1]
    if (place) this.events.push({ type: 'queue', place: Number(place) })
  }

  private onData(data: string): void {
    if (this.isDone || this.failure) return
    if (data.trim() === '[DONE]') {
      this.isDone = true
      return
    }
    let value: unknown
    try {
      value = JSON.parse(data)
    } catch {
      // Half an event at the end of the input is an interruption, which end-of-stream reports.
      if (!this.isEnding) this.fail(failures.badEvent)
      return
    }
    const wire = readError(value)
    if (wire) this.failure = new Failure('stream', wire.message, { status: 200, requestId: this.requestId, wire })
    else this.events.push(...readCompletion(value))
  }

  private fail(message: string): void {
    this.failure = new Failure('stream', message, { status: 200, requestId: this.requestId })
  }
}

/**
 * The completion events of a stream. Ends at `[DONE]`; throws a Failure of kind `stream` for an error event and of
 * kind `interrupted` when the input ends before `[DONE]`, in each case after every event that came before.
 */
export async function* readStream(
  texts: AsyncIterable<string>,
  requestId: string | null = null,
): AsyncGenerator<CompletionEvent, void> {
  const collector = new EventCollector(requestId)
  for await (const text of texts) {
    yield* collector.push(text)
    if (collector.failure) throw collector.failure
    if (collector.isDone) return
  }
  yield* collector.end()
  if (collector.failure) throw collector.failure
  if (!collector.isDone) throw interrupted(requestId)
}

export function interrupted(requestId: string | null): Failure {
  return new Failure('interrupted', failures.interrupted, { status: 200, requestId })
}
