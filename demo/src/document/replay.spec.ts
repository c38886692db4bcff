import { describe, expect, it } from 'vitest'

import { editText } from './edit'
import { compareReplay, lastRun } from './replay'
import { appendOutput, beginRun, endRun, lastFork, tipOf } from './run'
import { emptyTree, moveHead, textOf, type DocumentTree, type RunMeta, type Token } from './tree'

const META: RunMeta = { model: 'm', params: { seed: 7 }, finish: null, usage: null, ttftMs: null, tps: null }
const tokens = (...texts: string[]): Token[] => texts.map((text) => ({ text, id: null, logprob: -1, top: [] }))

function ran(tree: DocumentTree, outputs: string[][], start = '', finish: string | null = 'stop'): DocumentTree {
  const [begun, place] = beginRun(tree, tree.head, `run-${tree.nextId}`, outputs.length, start, META)
  const written = place.outputs.reduce((next, id, index) => appendOutput(next, id, (outputs[index] ?? []).join(''), tokens(...(outputs[index] ?? []))), begun)
  return endRun(written, place, outputs.map(() => finish), ';', {})
}

describe('lastRun', () => {
  const asked = editText(emptyTree(), 'Q?')

  it('is the last answer on the path, after its start text', () => {
    const tree = ran(asked, [['a', 'b'], ['c']], '|')
    const last = lastRun(editText(tree, `${textOf(tree)} more`))
    expect(last).toMatchObject({ text: 'ab', isPartial: false, meta: { choice: 0 } })
    expect(textOf(tree, last?.base)).toBe('Q?|')
    const other = moveHead(tree, tipOf(tree, lastFork(tree)?.branches[1] ?? -1))
    expect(lastRun(other)).toMatchObject({ text: 'c', meta: { choice: 1 } })
  })

  it('is partial once it is cut, or was stopped', () => {
    expect(lastRun(editText(ran(asked, [['a', 'b']]), 'Q?a'))).toMatchObject({ text: 'a', isPartial: true })
    expect(lastRun(editText(ran(asked, [['a', 'b', 'c']]), 'Q?aXc'))).toMatchObject({ text: 'a', isPartial: true })
    expect(lastRun(ran(asked, [['a']], '', null))).toMatchObject({ text: 'a', isPartial: true })
  })

  it('is none once another text stands before it, and where there never was one', () => {
    expect(lastRun(editText(ran(asked, [['a', 'b']]), 'Q!?ab'))).toBeNull()
    expect(lastRun(asked)).toBeNull()
  })
})

describe('compareReplay', () => {
  const expected = { text: 'a b c', tokens: tokens('a', ' b', ' c'), isPartial: false }
  const got = (...texts: string[]): { text: string; tokens: Token[] } => ({ text: texts.join(''), tokens: tokens(...texts) })

  it('finds the same text identical, and more than a partial one', () => {
    expect(compareReplay(expected, got('a', ' b', ' c'))).toEqual({ identical: true })
    expect(compareReplay({ ...expected, isPartial: true }, got('a', ' b', ' c', ' d'))).toEqual({ identical: true })
  })

  it('names the first token that differs', () => {
    expect(compareReplay(expected, got('a', ' x', ' c'))).toEqual({ identical: false, unit: 'token', at: 1, expected: ' b', got: ' x' })
    expect(compareReplay(expected, got('a'))).toEqual({ identical: false, unit: 'token', at: 1, expected: ' b', got: '' })
    expect(compareReplay(expected, got('a', ' b', ' c', ' d'))).toEqual({ identical: false, unit: 'token', at: 3, expected: '', got: ' d' })
  })

  it('names the first character where there are no tokens, never half of one', () => {
    expect(compareReplay({ text: 'a🏝', tokens: [], isPartial: false }, { text: 'a🏜b', tokens: [] }))
      .toEqual({ identical: false, unit: 'character', at: 1, expected: '🏝', got: '🏜b' })
  })
})
