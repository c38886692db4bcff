import { describe, expect, it } from 'vitest'

import type { Token } from '../document/tree'
import { barsOf, shareOf } from './bars'

const token = (fields: Partial<Token>): Token => ({ text: ' Paris', id: null, logprob: Math.log(0.2), top: [], ...fields })
const top = (text: string, probability: number, id: number | null = null) => ({ text, logprob: Math.log(probability), id })

describe('the bars of a token', () => {
  it('are sorted, with the chosen one marked', () => {
    const bars = barsOf(token({ top: [top(' Paris', 0.2), top(' the', 0.5)] }))
    expect(bars.map(({ alternative, isChosen }) => [alternative.text, isChosen])).toEqual([[' the', false], [' Paris', true]])
    expect(shareOf(bars)).toBeCloseTo(0.7)
  })

  it('hold the chosen one when it is not among the likeliest', () => {
    const bars = barsOf(token({ top: [top(' a', 0.4), top(' b', 0.1)] }))
    expect(bars.map(({ alternative, isChosen }) => [alternative.text, isChosen])).toEqual([[' a', false], [' Paris', true], [' b', false]])
  })

  it('tell tokens of the same text apart by their ids, and mark one where there are none', () => {
    const alike = [top(' Paris', 0.5, 7), top(' Paris', 0.2, 8)]
    expect(barsOf(token({ id: 8, top: alike })).map(({ isChosen }) => isChosen)).toEqual([false, true])
    const nameless = alike.map((each) => ({ ...each, id: null }))
    expect(barsOf(token({ top: nameless })).filter(({ isChosen }) => isChosen)).toHaveLength(1)
  })

  it('mark bytes and special tokens as the server writes them, and let none be taken without an id', () => {
    const bars = barsOf(token({ text: '', shown: 'bytes:\\xe2', top: [top('bytes:\\xe2', 0.2), top('bytes:\\xc3', 0.1), top('bytes:\\xc4', 0.05, 9)] }))
    expect(bars.map(({ isChosen, canTake }) => [isChosen, canTake])).toEqual([[true, false], [false, false], [false, true]])
  })

  it('mark none for a token that is not written, and are none where nothing is known', () => {
    expect(barsOf(token({ top: [top(' Paris', 0.2)] }), false).map(({ isChosen }) => isChosen)).toEqual([false])
    expect(barsOf(token({ logprob: null }))).toEqual([])
    expect(shareOf([])).toBe(0)
  })
})
