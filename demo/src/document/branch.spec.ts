import { describe, expect, it } from 'vitest'

import { addPick, isPick, pickedToken, splitAtToken } from './branch'
import { editText } from './edit'
import { appendOutput, beginRun, endRun, lastFork, previousRunBase, tipOf } from './run'
import { childrenOf, emptyTree, moveHead, pathTo, redo, textOf, undo, type Alternative, type DocumentTree, type NodeId, type RunMeta, type Token } from './tree'

const META: RunMeta = { model: 'm', params: {}, finish: null, usage: null, ttftMs: null, tps: null }
const alternative = (text: string): Alternative => ({ text, logprob: -2, id: 9 })

let nextTokenId = 0
const token = (text: string, shown?: string): Token => ({ text, ...(shown === undefined ? {} : { shown }), id: (nextTokenId += 1), logprob: -1, top: [alternative(' other')] })

function ran(tree: DocumentTree, outputs: Token[][], restart = '', base = tree.head): DocumentTree {
  const [begun, place] = beginRun(tree, base, `run-${tree.nextId}`, outputs.length, '', META)
  const written = place.outputs.reduce((next, id, index) => {
    const tokens = outputs[index] ?? []
    return appendOutput(next, id, tokens.map(({ text }) => text).join(''), tokens)
  }, begun)
  return endRun(written, place, outputs.map(() => 'stop'), restart, {})
}

/** What a branch does: the token picked, and a run that goes on from it. */
function branched(tree: DocumentTree, node: NodeId, index: number, text: string, outputs: Token[][]): DocumentTree {
  const [split, parent] = splitAtToken(tree, { node, index })
  const [grown, id] = addPick(split, parent, pickedToken(alternative(text), text, []), 'm')
  return ran(moveHead(grown, id), outputs)
}

const pieces = (tree: DocumentTree): string[] => pathTo(tree, tree.head).filter((node) => node.text !== '').map((node) => `${isPick(node) ? 'pick' : node.kind}:${node.text}`)

/** Every node's tokens spell its text, or there are none; and every node leads to the root. */
function expectSound(tree: DocumentTree): void {
  for (const node of Object.values(tree.nodes)) {
    if (node.tokens.length > 0) expect(node.tokens.map(({ text }) => text).join('')).toBe(node.text)
    expect(pathTo(tree, node.id)[0]?.id).toBe(tree.root)
  }
}

describe('a branch', () => {
  const start = ran(editText(emptyTree(), 'Capital:'), [[token(' Paris'), token(' is'), token('', 'bytes:\\xe2'), token('€'), token('', '</s>')]])
  const [output] = Object.values(start.nodes).filter((node) => node.part === 'output')

  it('takes the place of a token, and keeps what stood there as a sibling', () => {
    const tree = branched(start, output?.id ?? -1, 1, ' was', [[token(' big')]])
    expect(pieces(tree)).toEqual(['user:Capital:', 'model: Paris', 'pick: was', 'model: big'])
    const fork = lastFork(tree)
    expect(fork).toMatchObject({ at: 1, branches: { length: 2 } })
    expect(textOf(moveHead(tree, tipOf(tree, fork?.branches[0] ?? -1)))).toBe('Capital: Paris is€')
    expectSound(tree)
  })

  it('is one step of undo', () => {
    const tree = branched(start, output?.id ?? -1, 1, ' was', [[token(' big')]])
    expect(textOf(undo(tree))).toBe('Capital: Paris is€')
    expect(textOf(redo(undo(tree)))).toBe('Capital: Paris was big')
  })

  it('gives each half its own tokens, also those that have no text', () => {
    const halves = (index: number): string[][] => {
      const [tree, parent] = splitAtToken(start, { node: output?.id ?? -1, index })
      return [parent, output?.id ?? -1].map((id) => (tree.nodes[id]?.tokens ?? []).map((each) => each.shown ?? each.text))
    }
    expect(halves(2)).toEqual([[' Paris', ' is'], ['bytes:\\xe2', '€', '</s>']])
    expect(halves(3)).toEqual([[' Paris', ' is', 'bytes:\\xe2'], ['€', '</s>']])
    expect(halves(4)).toEqual([[' Paris', ' is', 'bytes:\\xe2', '€'], ['</s>']])
  })

  it('of the first token stands beside the whole answer', () => {
    const tree = branched(start, output?.id ?? -1, 0, ' London', [[token('.')]])
    expect(pieces(tree)).toEqual(['user:Capital:', 'pick: London', 'model:.'])
    expect(childrenOf(tree, output?.parent ?? -1)).toHaveLength(2)
  })

  it('keeps the picked token when its answer is redone', () => {
    const tree = branched(start, output?.id ?? -1, 1, ' was', [[token(' big')]])
    const again = ran(tree, [[token(' old')]], '', previousRunBase(tree) ?? -1)
    expect(pieces(again)).toEqual(['user:Capital:', 'model: Paris', 'pick: was', 'model: old'])
    expect(previousRunBase(undo(undo(again)))).toBe(output?.parent) // before the branch
  })

  it('without an answer leaves the picked token to go on from', () => {
    const [split, parent] = splitAtToken(start, { node: output?.id ?? -1, index: 1 })
    const [grown, id] = addPick(split, parent, pickedToken(alternative(' was'), ' was', []), 'm')
    const [begun, place] = beginRun(moveHead(grown, id), id, 'run-x', 1, '', META)
    const tree = endRun(begun, place, [null], '', {})
    expect(textOf(tree)).toBe('Capital: Paris was')
    expect(textOf(undo(tree))).toBe('Capital: Paris is€')
  })

  it('beside text of the user makes a fork of both', () => {
    const tree = editText(emptyTree(), 'abc')
    const [grown, id] = addPick(tree, tree.root, pickedToken(alternative('x'), 'x', []), 'm')
    expect(lastFork(moveHead(grown, id))).toMatchObject({ at: 1, branches: { length: 2 } })
  })
})

describe('an edit', () => {
  it('keeps the tokens on both sides of it, with all that is known of them', () => {
    const start = ran(emptyTree(), [[token(' one'), token(' two'), token(' three')]])
    const tree = editText(start, ' one tXwo three')
    const known = pathTo(tree, tree.head).flatMap((node) => node.tokens.map((each) => [each.text, each.id !== null]))
    expect(known).toEqual([[' one', true], [' t', false], ['wo', false], [' three', true]])
    expect(textOf(tree)).toBe(' one tXwo three')
    expectSound(tree)
  })
})

describe('undo and redo', () => {
  /** A generator of numbers that is the same in every run. */
  function random(seed: number): (below: number) => number {
    let state = seed
    return (below) => {
      state = (state * 1103515245 + 12345) % 2147483648
      return Math.floor((state / 2147483648) * below)
    }
  }

  const WORDS = [' a', 'b', ' 🏝', '\n', ' é', ''] as const

  function step(tree: DocumentTree, next: (below: number) => number): DocumentTree {
    const some = (): Token[] => Array.from({ length: next(4) }, () => {
      const text = WORDS[next(WORDS.length)] ?? ''
      return text === '' ? token('', '</s>') : token(text)
    })
    const text = textOf(tree)
    const written = pathTo(tree, tree.head).filter((node) => node.tokens.length > 0)
    switch (next(6)) {
      case 0: return ran(tree, [some(), some()], next(2) === 0 ? '' : ';')
      case 1: {
        const node = written[next(written.length)]
        return node ? branched(tree, node.id, next(node.tokens.length), ' pick', [some()]) : tree
      }
      case 2: {
        const base = previousRunBase(tree)
        return base === null ? tree : ran(tree, [some()], '', base)
      }
      case 3: {
        const fork = lastFork(tree)
        return fork ? moveHead(tree, tipOf(tree, fork.branches[next(fork.branches.length)] ?? -1)) : tree
      }
      default: {
        const characters = [...text]
        const count = Math.min(next(3), characters.length)
        characters.splice(next(characters.length + 1 - count), count, ...Array.from({ length: next(3) }, () => 'z'))
        return editText(tree, characters.join(''), next(3) === 0)
      }
    }
  }

  it('lose nothing over any sequence of edits, runs, branches and moves', () => {
    for (let round = 1; round <= 25; round += 1) {
      const next = random(round * 7919)
      let tree = emptyTree()
      for (let count = 0; count < 30; count += 1) tree = step(tree, next)
      expectSound(tree)
      const texts: string[] = []
      let back = tree
      while (back.past.length > 0) {
        texts.push(textOf(back))
        const earlier = undo(back)
        expect(earlier.nodes).toBe(back.nodes)
        expect({ ...redo(earlier), nodes: null }).toEqual({ ...back, nodes: null, typing: null })
        back = earlier
      }
      expect(textOf(back), `round ${round}`).toBe('')
      for (const text of texts.reverse()) {
        back = redo(back)
        expect(textOf(back)).toBe(text)
      }
      expect(back).toEqual({ ...tree, typing: null })
    }
  })
})
