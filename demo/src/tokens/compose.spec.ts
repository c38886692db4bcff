import { describe, expect, it } from 'vitest'

import type { DocumentNode, Token } from '../document/tree'
import { bestFor, compose, composeScored, endToScore, idsBefore, type Item } from './compose'

let nextId = 0
const token = (text: string, shown?: string): Token => ({ text, id: (nextId += 1), logprob: -1, top: [], ...(shown === undefined ? {} : { shown }) })
const piece = (kind: 'user' | 'model', text: string, tokens: Token[] = []): DocumentNode =>
  ({ id: (nextId += 1), parent: null, kind, text, tokens, run: null, part: 'text', meta: null })
const model = (...texts: string[]): DocumentNode => piece('model', texts.join(''), texts.map((text) => token(text)))
const scoredText = (...texts: string[]) => ({ text: texts.join(''), tokens: texts.map((text) => token(text)) })

const shape = (items: readonly Item[]): string[] => items.map(({ kind, text }) => `${kind[0]}:${text}`)

/** What must hold of any composition: it spells the text, and every item knows where it starts. */
function expectSpelled(items: readonly Item[], path: readonly DocumentNode[]): void {
  expect(items.map(({ text }) => text).join('')).toBe(path.map(({ text }) => text).join(''))
  let at = 0
  for (const { start, text } of items) {
    expect(start).toBe(at)
    at += text.length
  }
}

describe('the token view of a document', () => {
  it('has recorded tokens with their places, and plain text for what the user wrote', () => {
    const path = [piece('user', 'Q: Paris?'), model(' Yes', '.')]
    const items = compose(path, null)
    expect(shape(items)).toEqual(['p:Q: Paris?', 'r: Yes', 'r:.'])
    expect(items[2]).toMatchObject({ node: path[1]?.id, index: 1, start: 13 })
    expectSpelled(items, path)
  })

  it('shows one tokenization, the scored one, where the whole text has been scored', () => {
    const path = [piece('user', 'ab'), model('cd', 'e')]
    const items = compose(path, scoredText('a', 'bc', 'de'))
    expect(shape(items)).toEqual(['s:a', 's:bc', 's:de'])
    expectSpelled(items, path)
  })

  it('goes on with recorded tokens after a scored prompt', () => {
    const path = [piece('user', 'ab'), model(' c', ' d')]
    expect(shape(compose(path, scoredText('a', 'b')))).toEqual(['s:a', 's:b', 'r: c', 'r: d'])
  })

  it('keeps the scored tokens before a branch and recorded ones after it', () => {
    const path = [piece('user', 'ab'), model(' c'), model(' X', ' y')]
    const items = compose(path, scoredText('a', 'b c', ' d', ' e'))
    expect(shape(items)).toEqual(['s:a', 's:b c', 'r: X', 'r: y'])
    expectSpelled(items, path)
  })

  it('fills what no token border fits with plain text', () => {
    const path = [piece('user', 'ab'), model('cde', 'f')]
    const items = compose(path, { text: 'abcX', tokens: [token('ab'), token('c'), token('X')] })
    expect(shape(items)).toEqual(['s:ab', 's:c', 'p:de', 'r:f'])
    expectSpelled(items, path)
  })

  it('counts UTF-16 units over characters beyond the first plane', () => {
    const path = [piece('user', '🏝 '), model('👩‍🚀', '!')]
    const items = compose(path, null)
    expect(items.map(({ start }) => start)).toEqual([0, 3, 8])
    expectSpelled(items, path)
  })

  it('keeps bytes and special tokens as items without text', () => {
    const path = [piece('model', '日!', [token('', 'bytes:\\xe6\\x97'), token('日', 'bytes:\\xa5'), token('!'), token('', '</s>')])]
    const items = compose(path, null)
    expect(items.map(({ token: each }) => each?.shown ?? '')).toEqual(['bytes:\\xe6\\x97', 'bytes:\\xa5', '', '</s>'])
    expectSpelled(items, path)
  })

  it('drops the first bytes of a character that has gone, and a scored text that has gone altogether', () => {
    const scored = { text: 'a日', tokens: [token('a'), token('', 'bytes:\\xe6'), token('日', 'bytes:\\x97')] }
    expect(shape(compose([piece('user', 'a月')], scored))).toEqual(['s:a', 'p:月'])
    expect(shape(compose([piece('user', 'z')], { text: 'a', tokens: [token('', '<s>'), token('a')] }))).toEqual(['p:z'])
  })

  it('takes the same token string as often as it comes', () => {
    const path = [model('ha', 'ha', 'ha')]
    expect(compose(path, null).map((item) => (item.kind === 'recorded' ? item.index : -1))).toEqual([0, 1, 2])
  })

  it('falls back to plain text where tokens do not spell the text', () => {
    const path = [piece('model', 'abc', [token('a'), token('x')])]
    expect(shape(compose(path, null))).toEqual(['p:abc'])
    expect(shape(compose(path, { text: 'abc', tokens: [token('ab')] }))).toEqual(['p:abc'])
  })

  it('shows a text that still grows ahead of its tokens', () => {
    expect(shape(compose([piece('model', 'abcd', [token('a'), token('b')])], null))).toEqual(['r:a', 'r:b', 'p:cd'])
  })

  it('cuts long plain text into pieces, never through a character', () => {
    for (const text of ['🏝'.repeat(3000), 'word '.repeat(2000), 'x'.repeat(5001), '\n'.repeat(900)]) {
      const path = [piece('user', text)]
      const items = compose(path, null)
      expectSpelled(items, path)
      expect(items.length).toBeGreaterThan(2)
      for (const { text: part } of items) expect(part).not.toMatch(/^[\udc00-\udfff]/)
    }
  })

  it('treats hostile text as any other', () => {
    const path = [piece('user', '<img src=x onerror=1>'), model('</span>', '\u202e', '{{ 1 }}')]
    const items = compose(path, null)
    expect(items).toHaveLength(4)
    expectSpelled(items, path)
  })
})

describe('the part of a text that is worth scoring', () => {
  const written = (by: string, ...texts: string[]): DocumentNode => ({ ...model(...texts), meta: { model: by, params: {}, finish: 'stop', usage: null, ttftMs: null, tps: null } })

  it('ends where the rest is what the same model wrote', () => {
    expect(endToScore([piece('user', 'ab'), written('m', ' c', ' d')], 'm')).toBe(2)
    expect(endToScore([piece('user', 'ab'), written('m', ' c'), piece('user', 'd'), written('m', 'e')], 'm')).toBe(5)
    expect(endToScore([piece('user', 'ab'), written('other', ' c')], 'm')).toBe(4)
    expect(endToScore([piece('user', 'ab'), { ...written('m', ' c'), text: ' x' }], 'm')).toBe(4)
  })

  it('is all of it when nothing else is left', () => {
    expect(endToScore([written('m', 'ab', 'c')], 'm')).toBe(3)
    expect(endToScore([], 'm')).toBe(0)
  })
})

describe('several scored texts', () => {
  it('give way to the one that agrees with the text the longest', () => {
    const [whole, start, other] = [scoredText('a', 'b', 'c'), scoredText('a', 'b'), scoredText('x')]
    expect(bestFor('abcd', [start, whole, null])).toBe(whole)
    expect(bestFor('abX', [start, whole])).toBe(start)
    expect(bestFor('q', [other, null])).toBeNull()
  })
})

describe('a scored text by itself', () => {
  it('is its tokens, or nothing where they do not spell it', () => {
    expect(composeScored(scoredText('a', ' b')).map(({ kind, start }) => [kind, start])).toEqual([['scored', 0], ['scored', 1]])
    expect(composeScored({ text: 'ab', tokens: [] })).toEqual([])
    expect(composeScored({ text: 'ab', tokens: [token('a')] })).toEqual([])
  })
})

describe('the ids before a token', () => {
  it('are known from the beginning on when the text has been scored, with what is not written at its beginning', () => {
    const scored = { text: 'ab', tokens: [token('', '<s>'), token('a'), token('b')] }
    const path = [piece('user', 'ab'), model('c', 'd')]
    const items = compose(path, scored)
    expect(idsBefore(items, 4)).toEqual([...scored.tokens, path[1]?.tokens[0]].map((each) => each?.id))
    expect(idsBefore(items, 0)).toEqual([])
  })

  it('are not known after plain text, without scores, or where the server gives none', () => {
    const path = [piece('user', 'a'), model('b', 'c')]
    expect(idsBefore(compose(path, null), 2)).toBeNull()
    expect(idsBefore(compose([model('b', 'c')], null), 1)).toBeNull()
    const nameless = { text: 'ab', tokens: [{ ...token('a'), id: null }, token('b')] }
    expect(idsBefore(compose([piece('user', 'ab')], nameless), 1)).toBeNull()
    const gap = [piece('user', 'a'), model('b'), piece('user', ' and '), model('c', 'd')]
    expect(idsBefore(compose(gap, scoredText('a')), 4)).toBeNull()
  })

  it('leave out the end of an answer that the text goes on after, but no part of a character', () => {
    const ended = piece('model', 'é', [token('', 'bytes:\\xc3'), token('é', 'bytes:\\xa9'), token('', '</s>')])
    const items = compose([piece('user', 'a'), ended, model('b')], scoredText('a'))
    expect(idsBefore(items, 4)).toEqual([items[0], items[1], items[2]].map((item) => item?.token?.id))
  })
})
