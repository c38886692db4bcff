import { describe, expect, it } from 'vitest'

import { Failure } from './failure'
import { readStream } from './stream'
import type { CompletionEvent } from './wire'

const chunk = (index: number, text: string, finish: string | null = null): string =>
  JSON.stringify({ id: 'cmpl-1', object: 'text_completion', choices: [{ text, index, logprobs: null, finish_reason: finish }], usage: null })

const STREAM = [
  ': queue 12\n\n',
  ': ping\n\n',
  ':queue 1\r\n\r\n',
  ': queueing\n: queue\n: the queue 3\n\n',
  `data: ${chunk(0, ' Grüße 🏝')}\n\n`,
  `data: ${chunk(1, 'zwei')}\r\n\r\n`,
  'data: {"choices":\ndata: [{"index": 0,\r\ndata:"text": "€", "finish_reason": null}]}\n\n',
  ': ping\r\n\r\n',
  `data: ${chunk(0, '!', 'stop')}\n\n`,
  `data: ${chunk(1, '', 'length')}\n\n`,
  'data: {"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 5, "total_tokens": 8}}\n\n',
  'data: [DONE]\n\n',
].join('')

interface Outcome {
  texts: Record<number, string>
  finishes: Record<number, string>
  usage: unknown
  places: number[]
  failure: Failure | null
}

/** Decodes and reads `pieces` of bytes as the client does. */
async function read(pieces: Uint8Array[]): Promise<Outcome> {
  const outcome: Outcome = { texts: {}, finishes: {}, usage: null, places: [], failure: null }
  const use = (event: CompletionEvent): void => {
    if (event.type === 'text') outcome.texts[event.index] = (outcome.texts[event.index] ?? '') + event.text
    else if (event.type === 'finish') outcome.finishes[event.index] = event.reason
    else if (event.type === 'queue') outcome.places.push(event.place)
    else if (event.type === 'usage') outcome.usage = event.usage
  }
  async function* decoded(): AsyncGenerator<string> {
    const decoder = new TextDecoder()
    for (const piece of pieces) yield decoder.decode(piece, { stream: true })
  }
  try {
    for await (const event of readStream(decoded(), 'req-1')) use(event)
  } catch (error) {
    if (!(error instanceof Failure)) throw error
    outcome.failure = error
  }
  return outcome
}

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)

const WHOLE: Outcome = {
  texts: { 0: ' Grüße 🏝€!', 1: 'zwei' },
  finishes: { 0: 'stop', 1: 'length' },
  usage: { promptTokens: 3, completionTokens: 5 },
  places: [12, 1],
  failure: null,
}

describe('readStream', () => {
  it('reads the same at every split point, also in the middle of a character', async () => {
    const all = bytes(STREAM)
    for (let at = 0; at <= all.length; at += 1) {
      expect(await read([all.slice(0, at), all.slice(at)]), `split at byte ${at}`).toEqual(WHOLE)
    }
  })

  it('reads the same byte by byte', async () => {
    expect(await read([...bytes(STREAM)].map((byte) => Uint8Array.of(byte)))).toEqual(WHOLE)
  })

  it('reads the same with every line end as CRLF, at every split point', async () => {
    const all = bytes(STREAM.replace(/\r?\n/g, '\r\n'))
    for (let at = 0; at <= all.length; at += 1) {
      expect(await read([all.slice(0, at), all.slice(at)]), `split at byte ${at}`).toEqual(WHOLE)
    }
  })

  it('is interrupted at any end before [DONE], with the text so far kept', async () => {
    const all = bytes(STREAM)
    const end = all.length - 'DONE]\n\n'.length // "data: [" is not an end
    for (let at = 0; at <= end; at += 1) {
      const outcome = await read([all.slice(0, at)])
      expect(outcome.failure?.kind, `cut at byte ${at}`).toBe('interrupted')
      expect(WHOLE.texts[0]?.startsWith(outcome.texts[0] ?? '')).toBe(true)
    }
  })

  it('accepts a [DONE] that lacks its blank line', async () => {
    expect(await read([bytes(STREAM.slice(0, -2))])).toEqual(WHOLE)
  })

  it('gives the text before an error event, then fails in the words of the server', async () => {
    const error = 'data: {"error": {"message": "The backend went away", "type": "server_error", "param": null, "code": "backend_lost"}}\n\n'
    const outcome = await read([bytes(`data: ${chunk(0, 'half')}\n\n${error}data: ${chunk(0, 'never')}\n\n`)])
    expect(outcome.texts).toEqual({ 0: 'half' })
    expect(outcome.failure).toMatchObject({ kind: 'stream', message: 'The backend went away', code: 'backend_lost', requestId: 'req-1' })
  })

  it('fails on an event that is not JSON', async () => {
    const outcome = await read([bytes(`data: ${chunk(0, 'a')}\n\ndata: {nonsense}\n\ndata: [DONE]\n\n`)])
    expect(outcome.texts).toEqual({ 0: 'a' })
    expect(outcome.failure?.kind).toBe('stream')
  })

  it('reads nothing after [DONE]', async () => {
    const outcome = await read([bytes(`${STREAM}data: ${chunk(0, 'late')}\n\n`)])
    expect(outcome).toEqual(WHOLE)
  })
})
