import { describe, expect, it } from 'vitest'

import { appendOutput, beginRun } from '../document/run'
import { addNode, emptyTree, updateNode, type DocumentTree, type RunMeta, type Token } from '../document/tree'
import { compose } from './compose'
import { forksAt } from './forks'

const META: RunMeta = { model: 'm', params: {}, finish: null, usage: null, ttftMs: null, tps: null }
const token = (text: string, shown?: string): Token => ({ text, id: null, logprob: -1, top: [], ...(shown ? { shown } : {}) })

/** A document "Q" with two answers; the head stands on the second. */
function twoAnswers(): DocumentTree {
  const [tree, question] = addNode(emptyTree(), 0, { kind: 'user', text: 'Q' })
  let grown = tree
  for (const [at, answer] of [' no way', ' yes'].entries()) {
    const [begun, place] = beginRun(grown, question, `run-${at}`, 1, '', META)
    const id = place.outputs[0] ?? 0
    const tokens = answer.split(/(?= )/).map((text) => token(text))
    grown = updateNode(appendOutput(begun, id, answer), id, () => ({ tokens: [...tokens, token('', '</s>')] }))
  }
  return grown
}

const path = (tree: DocumentTree) => Object.values(tree.nodes).filter(({ id }) => id === 0 || id === 1 || id === tree.head)

describe('the forks in the token view', () => {
  it('stand at the first token of the branch shown', () => {
    const tree = twoAnswers()
    const forks = forksAt(tree, compose(path(tree), null))
    expect([...forks.keys()]).toEqual([1])
    expect(forks.get(1)).toMatchObject({ at: 1 })
    expect(forks.get(1)?.branches).toHaveLength(2)
  })

  it('do not stand at what ended the piece before', () => {
    let tree = twoAnswers()
    const base = tree.head
    for (const text of [' a', ' b']) {
      const [begun, place] = beginRun(tree, base, `more${text}`, 1, '', META)
      tree = updateNode(begun, place.outputs[0] ?? 0, () => ({ text, tokens: [token(text)] }))
    }
    const items = compose([...path({ ...tree, head: base }), ...path(tree).slice(-1)], null)
    expect(items.map(({ token: each, text }) => each?.shown ?? text)).toEqual(['Q', ' yes', '</s>', ' b'])
    expect([...forksAt(tree, items).keys()]).toEqual([1, 3])
  })

  it('stand at the token that spans the border, in a scored text', () => {
    const tree = twoAnswers()
    const spanning = compose(path(tree), { text: 'Q yes', tokens: [token('Q y'), token('es')] })
    expect([...forksAt(tree, spanning).keys()]).toEqual([0])
    const fitting = compose(path(tree), { text: 'Q yes', tokens: [token('', '<s>'), token('Q'), token(' yes')] })
    expect([...forksAt(tree, fitting).keys()]).toEqual([2])
  })

  it('are none where the model wrote once', () => {
    const [tree] = addNode(emptyTree(), 0, { kind: 'user', text: 'Q' })
    expect(forksAt({ ...tree, head: 1 }, compose(path({ ...tree, head: 1 }), null)).size).toBe(0)
  })
})
