import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'

import { Failure } from '../api/failure'
import type { CompletionRequest } from '../api/request'
import type { CompletionEvent, Model } from '../api/wire'
import { editText } from '../document/edit'
import { emptyTree } from '../document/tree'
import { initialSettings } from '../settings/settings'
import { Comparison } from './comparison'

type Script = (request: CompletionRequest, signal: AbortSignal) => AsyncGenerator<CompletionEvent, void>

const model = (id: string, capabilities: string[] | null = null): Model => ({ id, description: '', status: 'ready', statusMessage: '', download: null, maxModelLen: null, capabilities })
const tree = editText(emptyTree(), 'Say: ')
const loading = (): Failure => new Failure('http', 'It is loading.', { status: 503, retryAfterS: 2 })

async function* says(...texts: string[]): AsyncGenerator<CompletionEvent, void> {
  for (const text of texts) {
    yield { type: 'text', index: 0, text }
    yield { type: 'tokens', index: 0, tokens: [{ text, id: null, logprob: -0.1, top: [] }] }
    await Promise.resolve()
  }
  yield { type: 'finish', index: 0, reason: 'stop' }
  yield { type: 'usage', usage: { promptTokens: 2, completionTokens: texts.length } }
}

/** A comparison of models that do what the script of their id says. */
function scripted(scripts: Record<string, Script>): { comparison: Comparison; asked: CompletionRequest[] } {
  const asked: CompletionRequest[] = []
  const comparison = new Comparison((request, _, signal) => {
    asked.push(request)
    return (scripts[request.model] as Script)(request, signal)
  })
  return { comparison, asked }
}

beforeEach(() => {
  vi.useFakeTimers()
  vi.stubGlobal('requestAnimationFrame', (work: () => void) => setTimeout(work, 16))
  vi.stubGlobal('cancelAnimationFrame', clearTimeout)
})
afterEach(() => {
  vi.useRealTimers()
  vi.unstubAllGlobals()
})

describe('Comparison', () => {
  it('asks each model once, for one answer, with what it takes', async () => {
    const { comparison, asked } = scripted({ a: () => says('x'), b: () => says('y') })
    const settings = initialSettings()
    Object.assign(settings.numbers, { n: 4, top_k: 5, seed: 3 })
    await comparison.start([model('a', ['n', 'top_k', 'logprobs']), model('b', [])], tree, { ...settings, startText: 'oh', echo: true }, '')
    expect(asked).toEqual([
      { model: 'a', prompt: 'Say: oh', max_tokens: 128, temperature: 0.7, top_k: 5, logprobs: 5, stream: true, stream_options: { include_usage: true } },
      { model: 'b', prompt: 'Say: oh', max_tokens: 128, temperature: 0.7, stream: true, stream_options: { include_usage: true } },
    ])
    expect(comparison.columns.value.map(({ text }) => text.value)).toEqual(['x', 'y'])
    expect(comparison.question.value).toMatchObject({ base: tree.head, text: 'Say: ', startText: 'oh' })
  })

  it('knows a column’s place in the queue until its turn comes', async () => {
    let turn = (): void => undefined
    const { comparison } = scripted({
      a: async function* () {
        yield { type: 'queue', place: 3 }
        await new Promise<void>((resolve) => { turn = resolve })
        yield* says('x')
      },
    })
    const over = comparison.start([model('a')], tree, initialSettings(), '')
    await vi.waitFor(() => expect(comparison.columns.value[0]?.place.value).toBe(3))
    turn()
    await over
    expect(comparison.columns.value[0]?.place.value).toBe(0)
  })

  it('keeps what goes wrong in its column', async () => {
    const { comparison } = scripted({
      a: async function* () { throw new Failure('http', 'No such model.', { status: 404 }) }, // eslint-disable-line require-yield -- it fails at once
      b: () => says('one', ' two'),
      c: async function* () { yield { type: 'text', index: 0, text: 'part' }; throw new Failure('interrupted', 'Gone.') },
    })
    await comparison.start([model('a'), model('b'), model('c')], tree, initialSettings(), '')
    const [a, b, c] = comparison.columns.value
    expect([a?.state.value, b?.state.value, c?.state.value]).toEqual(['failed', 'finished', 'failed'])
    expect(a?.failure.value?.message).toBe('No such model.')
    expect(b?.tokens.value.map(({ text }) => text)).toEqual(['one', ' two'])
    expect(b?.finish.value).toBe('stop')
    expect(b?.figures.value.usage?.completionTokens).toBe(2)
    expect(c?.text.value).toBe('part')
    expect(comparison.isRunning.value).toBe(false)
  })

  it('asks again for itself while a model loads, and shows one answer', async () => {
    let attempts = 0
    const { comparison } = scripted({
      a: async function* () {
        attempts += 1
        if (attempts < 3) throw loading()
        yield* says('here')
      },
    })
    const over = comparison.start([model('a')], tree, initialSettings(), '')
    await vi.advanceTimersByTimeAsync(100)
    expect(comparison.columns.value[0]?.state.value).toBe('waiting')
    await vi.advanceTimersByTimeAsync(5000)
    await over
    expect(attempts).toBe(3)
    expect(comparison.columns.value[0]).toMatchObject({ text: { value: 'here' }, failure: { value: null }, state: { value: 'finished' } })
  })

  it('stops all at once, also those that wait, and keeps what has come', async () => {
    const endless: Script = async function* (_, signal) {
      yield { type: 'text', index: 0, text: 'a' }
      await new Promise((_resolve, reject) => signal.addEventListener('abort', () => reject(signal.reason as Error)))
    }
    const { comparison } = scripted({ a: endless, b: async function* () { throw loading() } }) // eslint-disable-line require-yield -- it fails at once
    const over = comparison.start([model('a'), model('b')], tree, initialSettings(), '')
    await vi.advanceTimersByTimeAsync(100)
    expect(comparison.isRunning.value).toBe(true)
    comparison.stop()
    await over
    expect(comparison.columns.value.map(({ state }) => state.value)).toEqual(['stopped', 'stopped'])
    expect(comparison.columns.value[0]?.text.value).toBe('a')
  })

  it('chooses four models at most, in the order they were chosen', () => {
    const comparison = new Comparison()
    for (const id of ['a', 'b', 'c', 'd', 'e']) comparison.choose(id, true)
    expect(comparison.chosen.value).toEqual(['a', 'b', 'c', 'd'])
    comparison.choose('b', false)
    comparison.choose('e', true)
    expect(comparison.chosen.value).toEqual(['a', 'c', 'd', 'e'])
  })
})
