import { describe, expect, it } from 'vitest'

import type { Token } from '../document/tree'
import { statisticsOf } from './statistics'

const token = (text: string, probability: number | null): Token => ({ text, id: null, logprob: probability === null ? null : Math.log(probability), top: [] })

describe('the statistics of a text', () => {
  it('are those of its tokens: perplexity is the inverse of the geometric mean', () => {
    const found = statisticsOf([token('ab', 0.5), token('cd', 0.125)])
    expect(found?.perplexity).toBeCloseTo(4)
    expect(found).toMatchObject({ tokens: 2 })
    expect(found?.logprob).toBeCloseTo(Math.log(1 / 16))
    expect(found?.bitsPerToken).toBeCloseTo(2)
    expect(found?.bitsPerCharacter).toBeCloseTo(1)
  })

  it('leave out a first token without a probability, with its text', () => {
    const found = statisticsOf([token('abcdefgh', null), token('ij', 0.25)])
    expect(found).toMatchObject({ tokens: 1 })
    expect(found?.bitsPerCharacter).toBeCloseTo(1)
  })

  it('count characters and bytes, not UTF-16 units', () => {
    const found = statisticsOf([token('', 0.5), token('🏝', 0.125)])
    expect(found?.bitsPerCharacter).toBeCloseTo(4)
    expect(found?.bitsPerByte).toBeCloseTo(1)
  })

  it('say that what cannot be is infinitely surprising, and nothing about nothing', () => {
    expect(statisticsOf([{ ...token('a', 1), logprob: -9999 }, token('b', 0.5)])).toMatchObject({ perplexity: Infinity, logprob: -Infinity })
    expect(statisticsOf([token('a', 1)])).toMatchObject({ perplexity: 1, logprob: 0 })
    expect(statisticsOf([])).toBeNull()
    expect(statisticsOf([token('a', null)])).toBeNull()
  })
})
