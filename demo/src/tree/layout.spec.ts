import { describe, expect, it } from 'vitest'

import { addPick } from '../document/branch'
import { editText } from '../document/edit'
import { appendOutput, beginRun, endRun, tipOf } from '../document/run'
import { emptyTree, moveHead, pathTo, textOf, undo, type DocumentNode, type DocumentTree, type NodeId, type RunMeta } from '../document/tree'
import { layOut, type TreeItem } from './layout'
import { rowsOf } from './rows'

const META: RunMeta = { model: 'm', params: { seed: 7 }, finish: null, usage: null, ttftMs: null, tps: null }

function ran(tree: DocumentTree, outputs: string[], base = tree.head): DocumentTree {
  const [begun, place] = beginRun(tree, base, `run-${tree.nextId}`, outputs.length, '', META)
  const written = place.outputs.reduce((next, id, index) => appendOutput(next, id, outputs[index] ?? ''), begun)
  return endRun(written, place, outputs.map(() => 'stop'), '', { usage: { promptTokens: 3, completionTokens: 5 } })
}

const written = (text: string): DocumentTree => editText(emptyTree(), text)
const said = (item: TreeItem | undefined): string => item?.segments.map(({ kind, text }) => `${kind}:${text}`).join('|') ?? ''
const outline = (tree: DocumentTree): string[] => layOut(tree).map((item) => `${'  '.repeat(item.indent)}${item.branch ? `${item.branch.at}/${item.branch.of} ` : ''}${said(item)}`)

/** A tree of `count` nodes that grows at places which `choose` picks among the nodes so far. */
function grown(count: number, choose: (nodes: number) => number): DocumentTree {
  const nodes: Record<NodeId, DocumentNode> = { ...emptyTree().nodes }
  for (let id = 1; id < count; id += 1) nodes[id] = { id, parent: choose(id), kind: 'model', text: `t${id}`, tokens: [], part: 'output', run: `r${id}`, meta: META }
  return { ...emptyTree(), nodes, head: count - 1, nextId: count }
}

describe('layOut', () => {
  it('folds what has no fork into one item that says who wrote what', () => {
    expect(outline(editText(ran(written('Q:'), [' A']), 'Q: A. And'))).toEqual(['user:Q:|model: A|user:. And'])
  })

  it('sets in at forks only, and numbers what stands in one place', () => {
    const tree = ran(written('a'), ['b', 'c', 'd'])
    expect(outline(tree)).toEqual(['user:a', '  1/3 model:b', '  2/3 model:c', '  3/3 model:d'])
  })

  it('lets the branch that leads to the most go straight on, wherever the head is', () => {
    let tree = ran(written('a'), ['b', 'c'])
    tree = ran(tree, ['d', 'e'], tree.head)
    const expected = ['user:a', '  2/2 model:c', '1/2 model:b', '  1/2 model:d', '  2/2 model:e']
    expect(outline(tree)).toEqual(expected)
    const other = layOut(tree).find((item) => said(item) === 'model:c')?.end ?? -1
    const moved = moveHead(tree, other)
    expect(textOf(moved)).toBe('ac')
    expect(outline(moved)).toEqual(expected)
    expect(layOut(moved).filter((item) => item.isOnPath).map(said)).toEqual(['user:a', 'model:c'])
  })

  it('is never set in by more than log2 of what it shows', () => {
    for (const choose of [(n: number): number => n - 1, (n: number): number => n >> 1, (n: number): number => Math.max(0, n - 2), (n: number): number => (n * 7919) % n, (): number => 0]) {
      const items = layOut(grown(700, choose))
      expect(Math.max(...items.map(({ indent }) => indent))).toBeLessThanOrEqual(Math.log2(items.length + 1))
    }
  })

  it('shows every piece of text once, in an item that ends where the document says', () => {
    const tree = grown(300, (n) => (n * n * 31) % n)
    const items = layOut(tree)
    expect(items.flatMap(({ segments }) => segments.map(({ text }) => text)).join('').length).toBe(Object.values(tree.nodes).map(({ text }) => text).join('').length)
    for (const item of items) expect(item.tip).toBe(tipOf(tree, item.id))
    const path = new Set(pathTo(tree, tree.head).map(({ id }) => id))
    for (const item of items) expect(item.isOnPath).toBe(path.has(item.id))
    expect(items.filter(({ hasHead }) => hasHead)).toHaveLength(1)
  })

  it('marks the head inside a chain: what undo has taken back comes after it', () => {
    const [item] = layOut(undo(ran(written('a'), ['b'])))
    expect(item?.segments.map(({ text, isHead, isVisible }) => [text, isHead, isVisible])).toEqual([['a', true, true], ['b', false, false]])
  })

  it('shows a blank beginning only to who stands in it', () => {
    const blank = { ...editText(editText(emptyTree(), 'one'), 'two'), typing: null }
    expect(outline(blank)).toEqual(['1/2 user:one', '2/2 user:two'])
    expect(outline(moveHead(blank, blank.root))).toEqual(['user:', '  1/2 user:one', '  2/2 user:two'])
    expect(outline(emptyTree())).toEqual(['user:'])
  })

  it('knows an answer that an edit has split: it ends once, and its figures are not given twice', () => {
    const whole = ran(written('Say: '), ['this is a test'])
    expect(layOut(whole)[0]?.segments[1]).toMatchObject({ model: 'm', finish: 'stop', isEnd: true, tokens: 5, seed: 7 })
    const items = layOut(editText(whole, 'Say: this was a test'))
    const [upper, lower] = [items[0]?.segments[1], items.find((item) => said(item) === 'model:is a test')?.segments[0]]
    expect(upper).toMatchObject({ text: 'this ', isEnd: false, tokens: null })
    expect(lower).toMatchObject({ isEnd: true, tokens: null })
  })

  it('takes a picked token and what follows from it for one answer', () => {
    const [picked, id] = addPick(written('The capital is'), 1, { text: ' Rome', id: 3, logprob: -2, top: [] }, 'm')
    const alone = layOut(moveHead(picked, id))[0]?.segments[1]
    expect(alone).toMatchObject({ text: ' Rome', pick: ' Rome', isEnd: false, tokens: 1 })
    const tree = ran(picked, ['.'], id)
    expect(layOut(tree)[0]?.segments.slice(1)).toMatchObject([{ text: ' Rome.', pick: ' Rome', finish: 'stop', isEnd: true, seed: 7 }])
  })

  it('is quick, also for a document as deep as it is long', () => {
    const tree = grown(20_000, (n) => (n % 3 === 0 ? n - 1 : Math.max(0, n - 2)))
    const startMs = performance.now()
    const items = layOut(tree)
    expect(rowsOf(items, () => true)).toHaveLength(items.length)
    expect(performance.now() - startMs).toBeLessThan(4000)
  })
})

describe('rowsOf', () => {
  const tree = ((): DocumentTree => {
    const forked = ran(written('a'), ['b', 'c', 'd'])
    return ran(forked, ['e', 'f'], forked.head)
  })()
  const items = layOut(tree)

  it('leaves out what is folded in', () => {
    const rows = rowsOf(items, (item) => item.parent === null)
    expect(rows.map(({ item }) => said(item))).toEqual(['user:a', 'model:c', 'model:d', 'model:b'])
    expect(rows.map(({ isExpanded }) => isExpanded)).toEqual([true, null, null, false])
    expect(rowsOf(items, () => false)).toHaveLength(1)
  })

  it('joins the rows: every line that enters a row left the one above it', () => {
    const rows = rowsOf(items, () => true)
    const leaves = (id: NodeId): Map<number, boolean> => new Map(rows.find(({ item }) => item.id === id)?.rails
      .filter(({ shape }) => shape === 'through' || shape === 'below').map(({ column, isPath }) => [column, isPath]))
    for (const [index, { rails }] of rows.entries()) {
      const above = index === 0 ? new Map<number, boolean>() : leaves(rows[index - 1]?.item.id ?? -1)
      const entering = new Map(rails.filter(({ shape }) => shape !== 'below').toSorted((a, b) => Number(a.isPath) - Number(b.isPath)).map(({ column, isPath }) => [column, isPath]))
      expect([...entering].toSorted(), `row ${index}`).toEqual([...above].toSorted())
    }
  })

  it('marks the way of the visible text past the rows beside it', () => {
    const rows = rowsOf(items, () => true)
    expect(rows.map(({ rails }) => rails.map(({ column, shape, isPath }) => `${column} ${shape}${isPath ? ' path' : ''}`))).toEqual([
      ['0 below path'],
      ['0 through path', '0 elbow'],
      ['0 through path', '0 elbow'],
      ['0 above path', '0 below path'],
      ['0 through', '0 elbow path'],
      ['0 elbow'],
    ])
  })
})
