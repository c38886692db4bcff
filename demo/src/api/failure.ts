import { advice, failures } from '../i18n/failures'
import type { WireError } from './wire'

/**
 * Why a request did not give what was asked.
 *   http         the server refused; `status` is set
 *   stream       the server reported an error in the middle of its answer
 *   interrupted  the answer ended before its end
 *   offline      no answer at all
 *   malformed    an answer that is not understood
 *   file         no request at all: a file that cannot be read
 *   unfetched    a part of the page that only a reload can bring
 */
export type FailureKind = 'http' | 'stream' | 'interrupted' | 'offline' | 'malformed' | 'file' | 'unfetched'

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

/** Refusals that mean the same whatever the server says of them. */
const EXPLAINED = [401, 403, 404, 413, 429, 502, 504] as const

/** What the reader can do about it, in one sentence; empty when the server's own words say all there is. */
export function adviceFor(failure: Failure, canContinue: boolean): string {
  if (failure.kind === 'offline') return advice.offline
  if (failure.kind === 'interrupted' || failure.kind === 'stream') return canContinue ? advice.resume : advice.soon
  if (failure.code === 'context_length_exceeded') return advice.tooLong
  if (failure.status === 429 && failure.retryAfterS) return advice.tooMany(failure.retryAfterS)
  if (failure.status === 503) return failure.retryAfterS === null ? advice.soon : advice.waits
  const explained = EXPLAINED.find((status) => status === failure.status)
  if (explained) return advice[explained]
  return failure.status !== null && failure.status >= 500 ? advice.broken : ''
}

/** What helps to find a failure in the server's log. */
export function factsOf({ status, code, requestId }: Failure): string {
  return [status ? `HTTP ${status}` : '', code ?? '', requestId ? failures.requestId(requestId) : ''].filter((fact) => fact !== '').join(' · ')
}

/** Seconds from a `Retry-After` header (whole seconds or an HTTP date); null when there is none to use. */
export function readRetryAfter(header: string | null, nowMs: number): number | null {
  if (header === null) return null
  if (/^\d+$/.test(header.trim())) return Number(header)
  const dateMs = Date.parse(header)
  return Number.isNaN(dateMs) ? null : Math.max(0, Math.ceil((dateMs - nowMs) / 1000))
}
