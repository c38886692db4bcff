import { describe, expect, it } from 'vitest'

import { editText } from './edit'
import { appendOutput, beginRun, endRun, lastFork, previousRunBase, tipOf, trimmedBase } from './run'
import { emptyTree, moveHead, pathTo, redo, textOf, undo, type DocumentTree, type RunMeta } from './tree'

const META: RunMeta = { model: 'm', params: {}, finish: null, usage: null, ttftMs: null, tps: null }

function ran(tree: DocumentTree, outputs: string[], start = '', restart = '', finish: string | null = 'stop', base = tree.head): DocumentTree {
  const [begun, place] = beginRun(tree, base, `run-${tree.nextId}`, outputs.length, start, META)
  const written = place.outputs.reduce((next, id, index) => appendOutput(next, id, outputs[index] ?? ''), begun)
  return endRun(written, place, outputs.map(() => finish), restart, {})
}

const kinds = (tree: DocumentTree): string[] => pathTo(tree, tree.head).filter((node) => node.text !== '').map((node) => `${node.kind}:${node.text}`)

/** A generator of numbers that is the same in every run. */
function random(seed: number): (below: number) => number {
  let state = seed
  return (below) => {
    state = (state * 1103515245 + 12345) % 2147483648
    return Math.floor((state / 2147483648) * below)
  }
}

describe('editText', () => {
  it('makes the text what it is told, wherever the edit is', () => {
    const next = random(7)
    const alphabet = ['a', 'b', ' ', '\n', '🏝', '🏜', 'é']
    for (let round = 0; round < 60; round += 1) {
      let tree = emptyTree()
      const texts = ['']
      for (let step = 0; step < 25; step += 1) {
        const characters = [...textOf(tree)]
        const count = Math.min(next(4), characters.length)
        characters.splice(next(characters.length + 1 - count), count, ...Array.from({ length: next(4) }, () => alphabet[next(alphabet.length)] ?? ''))
        const text = characters.join('')
        const before = tree.head
        tree = step % 5 === 4 ? ran(tree, ['xyz', 'w']) : editText(tree, text)
        if (step % 5 !== 4) expect(textOf(tree)).toBe(text)
        if (tree.head !== before) texts.push(textOf(tree))
      }
      for (let at = texts.length - 2; at >= 0; at -= 1) {
        tree = undo(tree)
        expect(textOf(tree), `undo to step ${at} of round ${round}`).toBe(texts[at])
      }
      for (const text of texts.slice(1)) {
        tree = redo(tree)
        expect(textOf(tree)).toBe(text)
      }
    }
  })

  it('splits what the model wrote, and keeps who wrote what on both sides', () => {
    const tree = editText(ran(editText(emptyTree(), 'Say: '), ['this is a test']), 'Say: this was a test')
    expect(kinds(tree)).toEqual(['user:Say: ', 'model:this ', 'user:wa', 'model:s a test'])
    expect(kinds(undo(tree))).toEqual(['user:Say: ', 'model:this ', 'model:is a test'])
  })

  it('adds no node for a deletion at the end', () => {
    const tree = editText(editText(emptyTree(), 'one two'), 'one')
    expect(kinds(tree)).toEqual(['user:one'])
    expect(textOf(undo(tree))).toBe('one two')
  })

  it('never cuts a character in half', () => {
    const tree = editText(editText(emptyTree(), 'x🏝y'), 'x🏜y')
    for (const node of Object.values(tree.nodes)) expect(node.text.isWellFormed()).toBe(true)
    expect(textOf(tree)).toBe('x🏜y')
  })

  it('begins another step where typing goes on elsewhere, and leaves what lies between to its author', () => {
    const before = ran(editText(emptyTree(), 'start'), [' m m'])
    let tree = before
    for (const text of ['start m m!', 'start m m!!', 'Xstart m m!!', 'XYstart m m!!', 'XYsta m m!!']) tree = editText(tree, text, true)
    expect(kinds(tree)).toEqual(['user:XY', 'user:sta', 'model: m m', 'user:!!'])
    expect(textOf(undo(tree))).toBe('XYstart m m!!')
    expect(textOf(undo(undo(tree)))).toBe('start m m!!')
    expect(undo(undo(undo(tree))).head).toBe(before.head)
  })

  it('joins what is typed in one go into one step and one node, also in the middle', () => {
    let tree = editText(emptyTree(), 'start end')
    const before = tree
    for (const text of ['start m end', 'start mi end', 'start mid end']) tree = editText(tree, text, true)
    expect(textOf(tree)).toBe('start mid end')
    expect(textOf(undo(tree))).toBe('')
    tree = editText({ ...before, typing: null }, 'start m end')
    for (const text of ['start mi end', 'start mid end']) tree = editText(tree, text, true)
    expect(textOf(undo(tree))).toBe('start end')
    expect(textOf(redo(undo(tree)))).toBe('start mid end')
  })
})

describe('undo and redo', () => {
  it('are each other’s inverse and touch no node', () => {
    const tree = ran(editText(ran(editText(emptyTree(), 'a'), ['b', 'c']), 'abX'), ['d'])
    let back = tree
    for (let steps = tree.past.length; steps > 0; steps -= 1) {
      const earlier = undo(back)
      expect(redo(earlier)).toEqual({ ...back, typing: null })
      expect(earlier.nodes).toEqual(back.nodes)
      back = earlier
    }
    expect(textOf(back)).toBe('')
    expect(undo(back)).toEqual(back)
    expect(redo(tree)).toEqual(tree)
  })

  it('take a run back with its start and restart text in one step', () => {
    const tree = ran(editText(emptyTree(), 'Q: why?'), [' because'], '\nA:', '\n\nQ:')
    expect(textOf(tree)).toBe('Q: why?\nA: because\n\nQ:')
    expect(textOf(undo(tree))).toBe('Q: why?')
    expect(textOf(redo(undo(tree)))).toBe('Q: why?\nA: because\n\nQ:')
  })
})

describe('runs', () => {
  it('leave out the restart text when the model did not finish', () => {
    expect(textOf(ran(editText(emptyTree(), 'a'), ['b'], '', '\n\n', null))).toBe('ab')
  })

  it('that write nothing leave nothing', () => {
    const tree = editText(emptyTree(), 'a')
    expect(ran(tree, [''], ' start', 'restart', null)).toEqual({ ...tree, typing: null, nextId: tree.nextId + 2 })
  })

  it('keep every choice as a branch, and a redone run as a sibling', () => {
    let tree = ran(editText(emptyTree(), 'a'), ['b', 'c'])
    expect(lastFork(tree)).toMatchObject({ at: 0, branches: { length: 2 } })
    const base = previousRunBase(tree)
    expect(base).not.toBeNull()
    tree = ran(tree, ['d'], '', '', 'stop', base ?? -1)
    expect(textOf(tree)).toBe('ad')
    expect(textOf(undo(tree))).toBe('ab')
    const fork = lastFork(tree)
    expect(fork).toMatchObject({ at: 2, branches: { length: 3 } })
    expect(textOf(moveHead(tree, tipOf(tree, fork?.branches[1] ?? 0)))).toBe('ac')
  })

  it('are redone from before their start text, also after the user has written on', () => {
    const tree = editText(ran(editText(emptyTree(), 'a'), ['b'], '|', ';'), 'a|b; and more')
    expect(textOf(tree, previousRunBase(tree) ?? -1)).toBe('a')
    expect(previousRunBase(editText(emptyTree(), 'a'))).toBeNull()
  })

  it('start from the text without its last whitespace when told to, and undo brings the whitespace back', () => {
    const written = editText(emptyTree(), 'a \n')
    const [tree, base] = trimmedBase(written, written.head)
    expect(textOf(tree)).toBe('a \n')
    const after = ran(tree, ['b'], '', '', 'stop', base)
    expect(textOf(after)).toBe('ab')
    expect(textOf(undo(after))).toBe('a \n')
  })
})
