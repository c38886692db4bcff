import { describe, expect, it } from 'vitest'

import { chunkAt, chunksOf } from './chunks'
import type { Item } from './compose'

const items = (texts: string[]): Item[] => texts.map((text, index) => ({ kind: 'recorded', text, start: 0, node: 1, index, token: { text, id: null, logprob: -1, top: [] } }))

describe('the blocks of the token view', () => {
  it('hold every item once, in order, and no more than can be drawn at once', () => {
    for (const texts of [Array(20_000).fill('x'), Array(999).fill(' w'), Array(500).fill('a\n'), ['one'], [], Array.from({ length: 3000 }, (_, at) => (at % 77 === 0 ? '.\n' : ' w'))]) {
      const chunks = chunksOf(items(texts))
      expect(chunks.flatMap(({ from, to }) => Array.from({ length: to - from }, (_, at) => from + at))).toEqual(texts.map((_, at) => at))
      for (const { from, to } of chunks) expect(to - from).toBeLessThanOrEqual(180)
    }
  })

  it('end at the end of a line, else before a word', () => {
    const lines = items(Array.from({ length: 400 }, (_, at) => (at === 99 ? '.\n' : ' w')))
    expect(chunksOf(lines)[0]).toEqual({ from: 0, to: 100 })
    const words = items(Array.from({ length: 400 }, (_, at) => (at % 50 === 0 ? ' w' : 'x')))
    expect(chunksOf(words)[0]).toEqual({ from: 0, to: 150 })
  })

  it('are found by what they hold', () => {
    const chunks = chunksOf(items(Array(1000).fill('x')))
    for (const [at, { from, to }] of chunks.entries()) expect([chunkAt(chunks, from), chunkAt(chunks, to - 1)]).toEqual([at, at])
    expect(chunkAt(chunks, 1000)).toBe(-1)
    expect(chunkAt(chunks, -1)).toBe(-1)
  })
})
