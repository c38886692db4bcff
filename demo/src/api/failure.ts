import type { WireError } from './wire'

/**
 * Why a request did not give what was asked.
 *   http         the server refused; `status` is set
 *   stream       the server reported an error in the middle of its answer
 *   interrupted  the answer ended before its end
 *   offline      no answer at all
 *   malformed    an answer that is not understood
 *   file         no request at all: a file that cannot be read
 */
export type FailureKind = 'http' | 'stream' | 'interrupted' | 'offline' | 'malformed' | 'file'

interface Details {
  status?: number | null
  requestId?: string | null
  retryAfterS?: number | null
  wire?: WireError | null
}

export class Failure extends Error {
  readonly kind: FailureKind
  readonly status: number | null
  readonly requestId: string | null
  /** Seconds until the server wants to be asked again. */
  readonly retryAfterS: number | null
  readonly param: string | null
  readonly code: string | null

  constructor(kind: FailureKind, message: string, details: Details = {}) {
    super(message)
    this.name = 'Failure'
    this.kind = kind
    this.status = details.status ?? null
    this.requestId = details.requestId ?? null
    this.retryAfterS = details.retryAfterS ?? null
    this.param = details.wire?.param ?? null
    this.code = details.wire?.code ?? null
  }
}

const ADVICE: Readonly<Record<number, string>> = {
  401: 'Check the API key: it is printed in the log when the server starts.',
  403: 'This key may not use this model. Choose another model, or ask for a key that may.',
  404: 'Choose another model.',
  413: 'The request is too large. Shorten the prompt.',
  429: 'Too many requests at once. Wait a little, then retry.',
  502: 'The model’s server cannot be reached. It may be restarting: retry in a moment.',
  504: 'The model did not answer in time. Ask for fewer tokens, or retry.',
}

/** What the reader can do about it, in one sentence; empty when the server's own words say all there is. */
export function adviceFor(failure: Failure, canContinue: boolean): string {
  if (failure.kind === 'offline') return 'Check the connection, then retry.'
  if (failure.kind === 'interrupted' || failure.kind === 'stream') return canContinue ? 'Continue from here, or retry from before.' : 'Retry in a moment.'
  if (failure.code === 'context_length_exceeded') return 'Shorten the prompt, or lower Max tokens.'
  if (failure.status === 429 && failure.retryAfterS) return `Too many requests at once. Retry in ${failure.retryAfterS} s.`
  if (failure.status === 503) return failure.retryAfterS === null ? 'Retry in a moment.' : 'The page asks again by itself.'
  if (failure.status !== null && failure.status in ADVICE) return ADVICE[failure.status] ?? ''
  if (failure.status !== null && failure.status >= 500) return 'Something broke on the server. The request id helps to find it in the log.'
  return ''
}

/** Seconds from a `Retry-After` header (whole seconds or an HTTP date); null when there is none to use. */
export function readRetryAfter(header: string | null, nowMs: number): number | null {
  if (header === null) return null
  if (/^\d+$/.test(header.trim())) return Number(header)
  const dateMs = Date.parse(header)
  return Number.isNaN(dateMs) ? null : Math.max(0, Math.ceil((dateMs - nowMs) / 1000))
}
