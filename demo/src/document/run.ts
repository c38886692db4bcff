import { isPick } from './branch'
import { editText } from './edit'
import { addNode, childrenOf, pathTo, textOf, updateNode, type DocumentNode, type DocumentTree, type NodeId, type RunMeta, type Token } from './tree'

/** What runs of the model do to the document. */

export interface RunPlace {
  run: string
  /** What the run continues: where Redo previous and Retry begin again. */
  base: NodeId
  /** The node of each choice, by its index. */
  outputs: readonly NodeId[]
}

/**
 * Opens a run under `base`: the start text if any, then an empty node a choice. The head moves to the first choice, and one undo
 * takes the whole run back.
 */
export function beginRun(
  tree: DocumentTree, base: NodeId, run: string, choices: number, startText: string, meta: RunMeta,
): [DocumentTree, RunPlace] {
  let next = tree
  let parent = base
  if (startText !== '') [next, parent] = addNode(next, parent, { kind: 'user', text: startText, run, part: 'start' })
  const outputs: NodeId[] = []
  for (let index = 0; index < choices; index += 1) {
    let id: NodeId
    [next, id] = addNode(next, parent, { kind: 'model', text: '', run, part: 'output', meta: { ...meta, choice: index } })
    outputs.push(id)
  }
  const head = outputs[0] ?? parent
  return [{ ...next, head, past: [...tree.past, tree.head], future: [], typing: null }, { run, base, outputs }]
}

/** Adds what a choice has produced since the last frame; `tokens` are all those of the choice. */
export function appendOutput(tree: DocumentTree, id: NodeId, text: string, tokens: Token[] = []): DocumentTree {
  return text === '' && tokens.length === 0 ? tree : updateNode(tree, id, (node) => ({ text: node.text + text, tokens }))
}

/**
 * Closes a run: notes how it went and puts the restart text after each choice that the model finished by itself. The
 * head, when it stands on a choice, follows to the restart text. A run that wrote nothing is taken out again.
 */
export function endRun(tree: DocumentTree, place: RunPlace, finishes: readonly (string | null)[], restartText: string, meta: Partial<RunMeta>): DocumentTree {
  let next = tree
  for (const [index, id] of place.outputs.entries()) {
    const finish = finishes[index] ?? null
    next = updateNode(next, id, (node) => ({ meta: node.meta && { ...node.meta, ...meta, finish } }))
    if (finish === null || restartText === '') continue
    const [grown, tail] = addNode(next, id, { kind: 'user', text: restartText, run: place.run, part: 'restart' })
    next = grown.head === id ? { ...grown, head: tail } : grown
  }
  const isEmpty = place.outputs.every((id) => next.nodes[id]?.text === '' && next.nodes[id]?.meta?.finish === null)
  return isEmpty ? withoutRun(next, place) : afterPick(next, place)
}

/** A picked token and what follows from it are one step of undo. */
function afterPick(tree: DocumentTree, { base }: RunPlace): DocumentTree {
  return isPick(tree.nodes[base]) && tree.past.at(-1) === base ? { ...tree, past: tree.past.slice(0, -1) } : tree
}

function withoutRun(tree: DocumentTree, place: RunPlace): DocumentTree {
  const nodes = Object.fromEntries(Object.entries(tree.nodes).filter(([, node]) => node.run !== place.run))
  return { ...tree, nodes, head: tree.past.at(-1) ?? place.base, past: tree.past.slice(0, -1) }
}

/** The place to continue from when whitespace at the end of `base` is to be dropped. The head and its history stay. */
export function trimmedBase(tree: DocumentTree, base: NodeId): [DocumentTree, NodeId] {
  const trimmed = editText({ ...tree, head: base }, textOf(tree, base).trimEnd())
  return [{ ...trimmed, head: tree.head, past: tree.past, future: tree.future, typing: null }, trimmed.head]
}

/** Where the last run on the visible path began: after a picked token where there is one. Null when the model has written nothing there. */
export function previousRunBase(tree: DocumentTree): NodeId | null {
  const path = pathTo(tree, tree.head)
  let at = path.findLastIndex((node) => node.part === 'output')
  if (at < 0) return null
  const last = path[at] as DocumentNode
  if (isPick(last)) return last.id
  while (at > 0 && path[at]?.run === last.run) at -= 1
  return path[at]?.id ?? null
}

export interface Fork {
  /** The node that all the alternatives follow. */
  parent: NodeId
  /** The alternatives, oldest first: what the model wrote at one and the same place. */
  branches: readonly NodeId[]
  /** Which of them is on the visible path. */
  at: number
}

/** The places on the visible path where the model has written more than one continuation, the first one first. */
export function forksOf(tree: DocumentTree): Fork[] {
  return pathTo(tree, tree.head).map((node) => forkAt(tree, node)).filter((fork) => fork !== null)
}

/** The last of them. */
export function lastFork(tree: DocumentTree): Fork | null {
  return forksOf(tree).at(-1) ?? null
}

/**
 * Continuations count as alternatives when they follow the same text, with a start text before them or not. Beside a picked
 * token, what stood there counts as well, whoever wrote it.
 */
export function forkAt(tree: DocumentTree, node: DocumentNode): Fork | null {
  if (node.parent === null) return null
  const siblings = childrenOf(tree, node.parent)
  const hasPick = siblings.some(isPick)
  const branches = siblings.filter((child) => hasPick || isBranch(tree, child)).map((child) => child.id)
  const at = branches.indexOf(node.id)
  return at >= 0 && branches.length > 1 ? { parent: node.parent, branches, at } : null
}

function isBranch(tree: DocumentTree, node: DocumentNode): boolean {
  return node.part === 'output' || (node.part === 'start' && childrenOf(tree, node.id).length > 0)
}

/** The end of the newest text below a node: where showing a branch puts the head. */
export function tipOf(tree: DocumentTree, id: NodeId): NodeId {
  const newest = childrenOf(tree, id).at(-1)
  return newest ? tipOf(tree, newest.id) : id
}
