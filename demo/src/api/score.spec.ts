import { afterEach, describe, expect, it, vi } from 'vitest'

import { Failure } from './failure'
import { score } from './score'

const signal = new AbortController().signal

/** Answers the next requests with `body`, and gives what was sent. */
function answer(body: object): { sent: () => unknown } {
  const asked = vi.fn((_: string, __: RequestInit) => Promise.resolve(new Response(JSON.stringify(body), { headers: { 'content-type': 'application/json' } })))
  vi.stubGlobal('fetch', asked)
  return { sent: () => JSON.parse(String(asked.mock.calls[0]?.[1].body)) as unknown }
}

afterEach(() => vi.unstubAllGlobals())

describe('score', () => {
  it('gives each token of the text its probability, and asks for nothing to be written', async () => {
    const { sent } = answer({
      choices: [{
        index: 0, text: 'Hé 🏝', finish_reason: 'length', token_ids: [1, 7, 8, 9], prompt_token_ids: [1, 7, 8, 9],
        logprobs: {
          tokens: ['<s>', ' Hé', ' ', '🏝'], token_logprobs: [null, -1, -2, -3], top_logprobs: [null, { ' Hé': -1 }, null, { x: -0.5, '🏝': -3 }],
          top_token_ids: [null, { ' Hé': 7 }, null, { x: 3, '🏝': 9 }],
        },
      }],
      usage: { prompt_tokens: 4, completion_tokens: 0 },
    })
    expect(await score('m', 'Hé 🏝', 'k', signal, ['echo', 'logprobs', 'return_token_ids'])).toEqual({
      text: 'Hé 🏝',
      promptTokens: 4,
      tokens: [
        { text: '', shown: '<s>', id: 1, logprob: null, top: [] },
        { text: 'Hé', shown: ' Hé', id: 7, logprob: -1, top: [{ text: ' Hé', logprob: -1, id: 7 }] },
        { text: ' ', id: 8, logprob: -2, top: [] },
        { text: '🏝', id: 9, logprob: -3, top: [{ text: 'x', logprob: -0.5, id: 3 }, { text: '🏝', logprob: -3, id: 9 }] },
      ],
    })
    expect(sent()).toEqual({ model: 'm', prompt: 'Hé 🏝', max_tokens: 0, echo: true, logprobs: 5, return_token_ids: true })
  })

  it('does not ask a server for ids that has none to give', async () => {
    const { sent } = answer({ choices: [{ index: 0, text: 'a', logprobs: { tokens: ['a'], token_logprobs: [null] } }] })
    expect(await score('m', [5], 'k', signal, null)).toEqual({ text: 'a', promptTokens: 1, tokens: [{ text: 'a', id: null, logprob: null, top: [] }] })
    expect(sent()).toEqual({ model: 'm', prompt: [5], max_tokens: 0, echo: true, logprobs: 5 })
  })

  it('says so when the server gives no probabilities', async () => {
    answer({ choices: [{ index: 0, text: 'a', logprobs: null }] })
    await expect(score('m', 'a', 'k', signal, null)).rejects.toThrow(Failure)
  })
})
