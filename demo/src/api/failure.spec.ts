import { describe, expect, it } from 'vitest'

import { adviceFor, Failure, readRetryAfter } from './failure'

describe('readRetryAfter', () => {
  it('reads seconds and dates', () => {
    expect(readRetryAfter('7', 0)).toBe(7)
    expect(readRetryAfter(' 0 ', 0)).toBe(0)
    expect(readRetryAfter('Thu, 01 Jan 1970 00:00:09 GMT', 2500)).toBe(7)
    expect(readRetryAfter('Thu, 01 Jan 1970 00:00:09 GMT', 60_000)).toBe(0)
  })

  it('makes nothing of nonsense', () => {
    for (const header of [null, '', 'soon', '-']) expect(readRetryAfter(header, 0)).toBeNull()
  })
})

describe('adviceFor', () => {
  it.each([
    [new Failure('http', 'x', { status: 401 }), /API key/],
    [new Failure('http', 'x', { status: 404 }), /another model/],
    [new Failure('http', 'x', { status: 413 }), /Shorten/],
    [new Failure('http', 'x', { status: 429, retryAfterS: 7 }), /7 s/],
    [new Failure('http', 'x', { status: 429 }), /Wait/],
    [new Failure('http', 'x', { status: 500 }), /request id/],
    [new Failure('http', 'x', { status: 502 }), /retry/],
    [new Failure('http', 'x', { status: 503, retryAfterS: 2 }), /by itself/],
    [new Failure('http', 'x', { status: 503 }), /Retry/],
    [new Failure('http', 'x', { status: 504 }), /in time/],
    [new Failure('http', 'x', { status: 400, wire: { message: 'x', param: 'prompt', code: 'context_length_exceeded' } }), /Shorten the prompt, or lower Max tokens/],
    [new Failure('offline', 'x'), /connection/],
    [new Failure('interrupted', 'x', { status: 200 }), /Continue/],
  ])('says what to do: %#', (failure, words) => {
    expect(adviceFor(failure, true)).toMatch(words)
  })

  it('speaks of going on only where there is something to go on from', () => {
    expect(adviceFor(new Failure('stream', 'x'), false)).not.toMatch(/Continue/)
  })

  it('is silent where the words of the server say it all', () => {
    expect(adviceFor(new Failure('http', 'temperature must be at most 2', { status: 400 }), true)).toBe('')
  })
})
