import { describe, expect, it } from 'vitest'

import type { WireToken } from '../api/wire'
import { Gathering } from './gathering'

const wire = (...texts: string[]): WireToken[] => texts.map((text, id) => ({ text, id, logprob: -1, top: [] }))

/** All that a gathering gives for choice 0 when each event is taken by itself, or in pairs. */
function gather(echoed: string, chunks: [string, ...string[]][], perTake: number, promptIds?: number[]): { text: string; tokens: string[]; prompt: string[] } {
  const gathering = new Gathering(echoed)
  let text = ''
  let tokens: string[] = []
  if (promptIds) gathering.add({ type: 'promptIds', index: 0, ids: promptIds })
  for (const [at, [piece, ...names]] of chunks.entries()) {
    gathering.add({ type: 'text', index: 0, text: piece })
    gathering.add({ type: 'tokens', index: 0, tokens: wire(...names) })
    if ((at + 1) % perTake !== 0 && at + 1 < chunks.length) continue
    for (const each of gathering.take()) {
      text += each.text
      tokens = each.tokens.map((token) => token.shown ?? token.text)
    }
  }
  return { text, tokens, prompt: gathering.promptTokens.map((token) => token.shown ?? token.text) }
}

describe('a gathering', () => {
  it.each([1, 2, 9])('gives the text and its tokens, %s chunks a time', (perTake) => {
    expect(gather('', [[' a', ' a'], ['', 'bytes:\\xe2\\x82'], ['€', 'bytes:\\xac'], ['', '</s>']], perTake)).toEqual({
      text: ' a€', tokens: [' a', 'bytes:\\xe2\\x82', 'bytes:\\xac', '</s>'], prompt: [],
    })
  })

  it.each([1, 2, 9])('keeps an echoed prompt and its tokens apart, %s chunks a time', (perTake) => {
    const chunks: [string, ...string[]][] = [['Hi ', '<s>', 'Hi', ' '], ['you', 'you'], ['!', '!']]
    expect(gather('Hi ', chunks, perTake)).toEqual({ text: 'you!', tokens: ['you', '!'], prompt: ['<s>', 'Hi', ' '] })
    expect(gather('Hi ', [['Hi', '<s>', 'Hi'], [' y', ' ', 'y'], ['', '</s>']], perTake)).toEqual({ text: 'y', tokens: ['y', '</s>'], prompt: ['<s>', 'Hi', ' '] })
  })

  it('knows by the prompt’s ids where a prompt ends that is followed by the beginning of a character', () => {
    const chunks: [string, ...string[]][] = [['Hi', '<s>', 'Hi'], ['', 'bytes:\\xe2\\x82'], ['€', 'bytes:\\xac']]
    expect(gather('Hi', chunks, 1, [1, 2])).toEqual({ text: '€', tokens: ['bytes:\\xe2\\x82', 'bytes:\\xac'], prompt: ['<s>', 'Hi'] })
  })

  it('takes a text that does not begin with the prompt for an answer', () => {
    expect(gather('Hi', [['H', 'H'], ['o', 'o']], 1)).toMatchObject({ text: 'Ho', tokens: ['H', 'o'], prompt: [] })
  })

  it('keeps choices apart', () => {
    const gathering = new Gathering('')
    gathering.add({ type: 'text', index: 1, text: 'b' })
    gathering.add({ type: 'text', index: 0, text: 'a' })
    gathering.add({ type: 'text', index: 1, text: 'c' })
    expect(gathering.take()).toEqual([{ index: 1, text: 'bc', tokens: [] }, { index: 0, text: 'a', tokens: [] }])
    expect(gathering.take()).toEqual([])
  })
})
