import { describe, expect, it } from 'vitest'

import type { Token } from '../document/tree'
import { chanceOf, compareAnswers } from './difference'

const token = (text: string, more: Partial<Token> = {}): Token => ({ text, id: null, logprob: -1, top: [], ...more })
const answer = (...texts: string[]): { text: string; tokens: Token[] } => ({ text: texts.join(''), tokens: texts.map((text) => token(text)) })
const plain = (text: string): { text: string; tokens: Token[] } => ({ text, tokens: [] })
const marked = (...of: Parameters<typeof compareAnswers>): string => compareAnswers(...of).map(({ text, differs }) => (differs ? `[${text}]` : text)).join('|')

describe('compareAnswers', () => {
  it('marks the tokens that are not the first one’s in the same place', () => {
    expect(marked(answer(' Paris', '.', ' It'), answer(' Paris', ',', ' It'), true)).toBe(' Paris|[,]| It')
    expect(compareAnswers(answer('a'), answer('b'), true)[0]).toEqual({ place: 0, text: 'b', logprob: -1, differs: true })
  })

  it('marks what is longer only once the first one is over', () => {
    expect(marked(answer('a'), answer('a', 'b'), false)).toBe('a|b')
    expect(marked(answer('a'), answer('a', 'b'), true)).toBe('a|[b]')
    expect(marked(answer('a', 'b'), answer('a'), true)).toBe('a')
  })

  it('tells apart tokens that add the same text', () => {
    const end = { text: 'a', tokens: [token('a'), token('', { shown: '</s>' })] }
    const bytes = { text: 'a', tokens: [token('a'), token('', { shown: 'bytes:\\xe2' })] }
    expect(compareAnswers(end, bytes, true).map(({ differs }) => differs)).toEqual([false, true])
    expect(compareAnswers(end, end, true).map(({ differs }) => differs)).toEqual([false, false])
  })

  it('compares the texts where a server gives no tokens', () => {
    expect(marked(plain('one two'), plain('one three'), true)).toBe('one t|[hree]')
    expect(marked(plain('one two'), answer('one', ' three', ' four'), true)).toBe('one|[ three]|[ four]')
    expect(marked(answer('one', ' two'), plain('one two'), true)).toBe('one two')
    expect(marked(plain('on'), plain('one'), false)).toBe('on|e')
    expect(marked(plain(''), plain(''), true)).toBe('')
  })

  it('cuts no character in half', () => {
    for (const { text } of compareAnswers(plain('x🏝'), plain('x🏜'), true)) expect(text.isWellFormed()).toBe(true)
  })
})

describe('chanceOf', () => {
  it('is what a model gave another’s token, where it says', () => {
    const own = token(' London', { top: [{ text: ' London', logprob: -0.5, id: 1 }, { text: ' Paris', logprob: -2, id: 2 }] })
    expect(chanceOf(token(' Paris'), own)).toBe(-2)
    expect(chanceOf(token(' Rome'), own)).toBeNull()
    expect(chanceOf(token(' Rome'), undefined)).toBeNull()
  })
})
