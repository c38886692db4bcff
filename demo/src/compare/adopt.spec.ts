import { describe, expect, it } from 'vitest'

import { editText } from '../document/edit'
import { lastFork } from '../document/run'
import { childrenOf, emptyTree, textOf, undo, type DocumentTree } from '../document/tree'
import { adoptAnswer, type Answer } from './adopt'
import type { Question } from './comparison'

const META = { model: 'm', params: {}, finish: null, usage: null, ttftMs: null, tps: 3 }
const answer = (text: string, finish: string | null = 'stop'): Answer => ({ text, tokens: [{ text, id: 4, logprob: -1, top: [] }], finish, meta: META })
const asked = (tree: DocumentTree, more: Partial<Question> = {}): Question => ({ base: tree.head, text: textOf(tree), startText: '', restartText: '', ...more })
const written = editText(emptyTree(), 'Q: why? ')

describe('adoptAnswer', () => {
  it('makes answers branches of one place, as if they had been generated there', () => {
    const question = asked(written, { startText: '\nA:', restartText: '\n\nQ:' })
    const [one, first] = adoptAnswer(written, question, answer(' because'))
    const [two, second] = adoptAnswer(one, question, answer(' no', null))
    expect(textOf(one)).toBe('Q: why? \nA: because\n\nQ:')
    expect(textOf(two)).toBe('Q: why? \nA: no')
    expect(two.nodes[first]).toMatchObject({ kind: 'model', part: 'output', tokens: [{ id: 4 }], meta: { model: 'm', finish: 'stop', tps: 3 } })
    expect(two.nodes[second]?.run).not.toBe(two.nodes[first]?.run)
    expect(lastFork(two)).toMatchObject({ at: 1, branches: { length: 2 } })
    expect(textOf(undo(two))).toBe(textOf(one))
    expect(textOf(undo(undo(two)))).toBe('Q: why? ')
  })

  it('belongs where the question was asked, also after the text has gone on', () => {
    const gone = editText({ ...written, typing: null }, 'Q: why? And then')
    const [tree] = adoptAnswer(gone, asked(written), answer('so'))
    expect(textOf(tree)).toBe('Q: why? so')
    expect(childrenOf(tree, written.head)).toHaveLength(2)
    expect(textOf(undo(tree))).toBe('Q: why? And then')
  })

  it('follows the text without the whitespace that was left out', () => {
    const [tree] = adoptAnswer(written, asked(written, { text: 'Q: why?' }), answer(' so'))
    expect(textOf(tree)).toBe('Q: why? so')
    expect(textOf(undo(tree))).toBe('Q: why? ')
  })

  it('brings its question along when the document is another one', () => {
    const other = editText(emptyTree(), 'Something else')
    const [tree] = adoptAnswer(other, asked(written), answer('so'))
    expect(textOf(tree)).toBe('Q: why? so')
    expect(textOf(undo(undo(tree)))).toBe('Something else')
  })
})
