import { describe, expect, it } from 'vitest'

import type { WireToken } from '../api/wire'
import { addedBy, spell, Speller } from './spell'

const wire = (...texts: string[]): WireToken[] => texts.map((text, id) => ({ text, id, logprob: -id, top: [] }))
const texts = (text: string, ...tokens: string[]): string[] => spell(text, wire(...tokens)).map((token) => token.text)
const alternative = (text: string): { text: string; logprob: number; id: null } => ({ text, logprob: -1, id: null })

describe('spell', () => {
  it.each<[string, string, string[], string[]]>([
    ['plain tokens', 'one two', ['one', ' two'], ['one', ' two']],
    ['the same token again and again', 'aaa', ['a', 'a', 'a'], ['a', 'a', 'a']],
    ['characters beyond the basic plane', 'x🏝é', ['x', '🏝', 'é'], ['x', '🏝', 'é']],
    ['a character in parts', 'a🏝b', ['a', 'bytes:\\xf0\\x9f', 'bytes:\\x8f', 'bytes:\\x9d', 'b'], ['a', '', '', '🏝', 'b']],
    ['the end of a character and the beginning of the next', '€€', ['bytes:\\xe2\\x82', 'bytes:\\xac\\xe2', 'bytes:\\x82\\xac'], ['', '€', '€']],
    ['bytes that never become a character', 'a\ufffdb', ['a', 'bytes:\\xe2\\x82', 'b'], ['a', '', '\ufffdb']],
    ['bytes of a character that never ends', 'a', ['a', 'bytes:\\xe2'], ['a', '']],
    ['a byte order mark', '\ufeffa', ['bytes:\\xef\\xbb', 'bytes:\\xbf', 'a'], ['', '\ufeff', 'a']],
    ['special tokens', 'Hi you', ['<s>', 'Hi', '<|x|>', ' you', '</s>'], ['', 'Hi', '', ' you', '']],
    ['a special token that is written out', '<s>Hi', ['<s>', 'Hi'], ['<s>', 'Hi']],
    ['a special token before a text that spells it otherwise', '<s>Hi', ['<s>', '<', 's', '>', 'Hi'], ['', '<', 's', '>', 'Hi']],
    ['a space before the text that is left out', 'Hi you', ['<s>', ' Hi', ' you'], ['', 'Hi', ' you']],
    ['a space before the text that is a token', 'Hi', [' ', 'Hi'], ['', 'Hi']],
    ['tokens of a stop string', 'one', ['one', ' two', ' three'], ['one', '', '']],
    ['a token cut off by a stop string', 'one t', ['one', ' two', '.'], ['one', ' t', '']],
    ['nothing', '', [], []],
    ['an end at once', '', ['</s>'], ['']],
  ])('spells %s', (_, text, tokens, expected) => {
    expect(texts(text, ...tokens)).toEqual(expected)
    expect(expected.join('')).toBe(text)
  })

  it.each<[string, string, string[]]>([
    ['tokens of another text', 'one two', ['one', ' too']],
    ['tokens that end before the text', 'one two', ['one']],
    ['no tokens', 'one', []],
    ['a space left out in the middle', 'onetwo', ['one', ' two']],
  ])('gives nothing for %s', (_, text, tokens) => {
    expect(spell(text, wire(...tokens))).toEqual([])
  })

  it('keeps what else is known, and the token as the server writes it where that differs', () => {
    expect(spell('Hi', wire('<s>', 'Hi'))).toEqual([{ text: '', shown: '<s>', id: 0, logprob: -0, top: [] }, { text: 'Hi', id: 1, logprob: -1, top: [] }])
  })
})

describe('Speller', () => {
  const TEXT = 'a🏝b €\n\nc'
  const TOKENS = ['a', 'bytes:\\xf0\\x9f\\x8f', 'bytes:\\x9d', 'b', ' ', 'bytes:\\xe2\\x82', 'bytes:\\xac', '\n\n', 'c']

  it('spells a text whose characters come after their tokens, at every delay', () => {
    const expected = spell(TEXT, wire(...TOKENS))
    expect(expected.map((token) => token.text)).toEqual(['a', '', '🏝', 'b', ' ', '', '€', '\n\n', 'c'])
    const characters = [...TEXT]
    for (let delay = 0; delay <= 4; delay += 1) {
      const speller = new Speller()
      let sent = 0
      let shown = ''
      for (const [index, token] of wire(...TOKENS).entries()) {
        const ready = [...expected.slice(0, index + 1).map((each) => each.text).join('')].length
        const upTo = Math.max(sent, ready - delay)
        const text = characters.slice(sent, upTo).join('')
        sent = upTo
        shown += text
        expect(speller.push(text, [token]).map((each) => each.text).join(''), `${delay} behind`).toBe(shown)
      }
      expect(speller.push(characters.slice(sent).join(''), [])).toEqual(expected)
    }
  })

  it('knows the tokens again when the text has run ahead of them', () => {
    const speller = new Speller()
    expect(speller.push('one two', wire('one'))).toEqual([])
    expect(speller.push('', wire(' two'))).toHaveLength(2)
  })
})

describe('addedBy', () => {
  it('completes a character that the tokens before have begun', () => {
    const before = spell('a🏝', wire('a', 'bytes:\\xf0\\x9f\\x8f', 'bytes:\\x9d'))
    expect(addedBy(before.slice(0, 2), alternative('bytes:\\x9c'))).toBe('🏜')
    expect(addedBy(before, alternative('bytes:\\x9c'))).toBe('\ufffd')
    expect(addedBy(before, alternative(' b'))).toBe(' b')
    expect(addedBy(before, alternative('</s>'))).toBe('')
  })
})
