import { addNode, moveHead, pathTo, textOf, type DocumentNode, type DocumentTree, type NodeId, type Token } from './tree'

/** Edits of the visible text, turned into nodes. */

/** How many UTF-16 units two texts share at their beginning, not counting half a character. */
function sharedStart(before: string, after: string): number {
  const limit = Math.min(before.length, after.length)
  let at = 0
  while (at < limit && before.charCodeAt(at) === after.charCodeAt(at)) at += 1
  return at > 0 && isHighSurrogate(before, at - 1) ? at - 1 : at
}

/** The same at their end, within `limit` units. */
function sharedEnd(before: string, after: string, limit: number): number {
  let count = 0
  while (count < limit && before.charCodeAt(before.length - 1 - count) === after.charCodeAt(after.length - 1 - count)) count += 1
  return count > 0 && isLowSurrogate(before, before.length - count) ? count - 1 : count
}

function isHighSurrogate(text: string, at: number): boolean {
  return (text.charCodeAt(at) & 0xfc00) === 0xd800
}

function isLowSurrogate(text: string, at: number): boolean {
  return (text.charCodeAt(at) & 0xfc00) === 0xdc00
}

/** What is left of a token that an edit has cut: text of which nothing is known. */
function fragment(text: string): Token {
  return { text, id: null, logprob: null, top: [] }
}

/**
 * The tokens that spell text[from, to). A token without text that stands at the border, such as the first bytes of a
 * character, belongs to what follows.
 */
function tokensWithin(node: DocumentNode, from: number, to: number): Token[] {
  if (from === 0 && to === node.text.length) return node.tokens
  const tokens: Token[] = []
  let at = 0
  for (const token of node.tokens) {
    const end = at + token.text.length
    if (at >= from && (end < to || (end === to && (at < to || to === node.text.length)))) tokens.push(token)
    else if (end > from && at < to) tokens.push(fragment(token.text.slice(Math.max(0, from - at), to - at)))
    at = end
  }
  return tokens
}

/**
 * The node whose path spells exactly the first `offset` units of the head's text. Splits a node where the offset falls
 * inside one: the upper half is a new node and the lower half keeps the id, so that every other path stays as it was.
 */
export function nodeAt(tree: DocumentTree, offset: number): [DocumentTree, NodeId] {
  let start = 0
  for (const node of pathTo(tree, tree.head)) {
    const end = start + node.text.length
    if (offset === end) return [tree, node.id]
    if (offset < end) {
      const cut = offset - start
      const upper: DocumentNode = { ...node, id: tree.nextId, text: node.text.slice(0, cut), tokens: tokensWithin(node, 0, cut) }
      const lower: DocumentNode = { ...node, parent: upper.id, text: node.text.slice(cut), tokens: tokensWithin(node, cut, node.text.length) }
      return [{ ...tree, nodes: { ...tree.nodes, [upper.id]: upper, [lower.id]: lower }, nextId: tree.nextId + 1 }, upper.id]
    }
    start = end
  }
  throw new Error('The offset lies beyond the text')
}

/** Who wrote a piece is remembered when it is put after another text, but no longer as what its request brought. */
function moved(meta: DocumentNode['meta']): DocumentNode['meta'] {
  if (!meta) return null
  const { choice: _, ...rest } = meta
  return rest
}

/** The head's text from `offset` on, as pieces that remember who wrote them. */
function piecesFrom(tree: DocumentTree, offset: number): DocumentNode[] {
  const pieces: DocumentNode[] = []
  let start = 0
  for (const node of pathTo(tree, tree.head)) {
    const from = Math.max(0, offset - start)
    if (from < node.text.length) pieces.push({ ...node, text: node.text.slice(from), tokens: tokensWithin(node, from, node.text.length), meta: moved(node.meta) })
    start += node.text.length
  }
  return pieces
}

/** Takes back the edit being typed, leaving no trace of it; its nodes are leaves that nothing else knows. */
function withoutTyping(tree: DocumentTree, typing: NonNullable<DocumentTree['typing']>): DocumentTree {
  const nodes = { ...tree.nodes }
  for (const id of typing.added) Reflect.deleteProperty(nodes, id)
  return { ...tree, nodes, head: typing.from, past: tree.past.slice(0, -1) }
}

/** The part [from, to) of `before` that differs from `after`; never half a character. */
export function changed(before: string, after: string): [number, number] {
  const from = sharedStart(before, after)
  return [from, before.length - sharedEnd(before, after, Math.min(before.length, after.length) - from)]
}

/** Whether an edit of the visible text touches what is being typed, so that both are one change of the text before. */
function touchesTyping(tree: DocumentTree, typing: NonNullable<DocumentTree['typing']>, text: string): boolean {
  const now = textOf(tree)
  const [typedFrom, typedTo] = changed(now, textOf(tree, typing.from))
  const [from, to] = changed(now, text)
  return from <= typedTo && to >= typedFrom
}

/**
 * Makes `text` the visible text, as one step of undo. With `continues`, an edit beside the one being typed joins it, so that a
 * word typed letter by letter is one step and one node. Text after the place of the edit keeps its authorship.
 */
export function editText(tree: DocumentTree, text: string, continues = false): DocumentTree {
  if (text === textOf(tree)) return tree
  const base = continues && tree.typing && touchesTyping(tree, tree.typing, text) ? withoutTyping(tree, tree.typing) : tree
  const before = textOf(base)
  if (text === before) return { ...base, typing: null }
  const [from, to] = changed(before, text)
  const inserted = text.slice(from, text.length - (before.length - to))
  const kept = piecesFrom(base, to)
  const [split, anchor] = nodeAt(base, from)
  let next = split
  let head = anchor
  const added: NodeId[] = []
  const pieces = inserted === '' ? kept : [{ kind: 'user' as const, text: inserted }, ...kept]
  for (const piece of pieces) {
    [next, head] = addNode(next, head, piece)
    added.push(head)
  }
  return { ...moveHead(next, head), typing: { from: base.head, added } }
}
