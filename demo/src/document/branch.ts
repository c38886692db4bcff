import { addNode, type Alternative, type DocumentNode, type DocumentTree, type NodeId, type RunMeta, type Token } from './tree'

/** Putting another token in the place of one: the old continuation stays, as a sibling. */

/** A token of the document: the one before which a branch begins. */
export interface TokenPlace {
  node: NodeId
  index: number
}

const PICK = 'pick-'

/** Whether a node is a token that the reader has picked; a run of its own, so that Redo previous keeps it. */
export function isPick(node: DocumentNode | undefined): boolean {
  return node?.run?.startsWith(PICK) ?? false
}

/** The node whose path ends just before a token. Splits the token's node where it must; the lower half keeps the id. */
export function splitAtToken(tree: DocumentTree, { node: id, index }: TokenPlace): [DocumentTree, NodeId] {
  const node = tree.nodes[id]
  if (!node?.tokens[index] || node.parent === null) throw new Error(`The document has no token ${index} in node ${id}`)
  if (index === 0) return [tree, node.parent]
  const tokens = node.tokens.slice(0, index)
  const text = tokens.map((token) => token.text).join('')
  const upper: DocumentNode = { ...node, id: tree.nextId, text, tokens }
  const lower: DocumentNode = { ...node, parent: upper.id, text: node.text.slice(text.length), tokens: node.tokens.slice(index) }
  return [{ ...tree, nodes: { ...tree.nodes, [upper.id]: upper, [lower.id]: lower }, nextId: tree.nextId + 1 }, upper.id]
}

/** The token that stands where `alternative` was picked; `top` is what else was likely there. */
export function pickedToken(alternative: Alternative, text: string, top: readonly Alternative[]): Token {
  const { text: shown, id, logprob } = alternative
  return { text, ...(shown === text ? {} : { shown }), id, logprob, top }
}

/** Adds a picked token under `parent`; the head stays where it is. */
export function addPick(tree: DocumentTree, parent: NodeId, token: Token, model: string): [DocumentTree, NodeId] {
  const meta: RunMeta = { model, params: {}, finish: null, usage: null, ttftMs: null, tps: null }
  return addNode({ ...tree, typing: null }, parent, { kind: 'model', text: token.text, tokens: [token], run: `${PICK}${tree.nextId}`, part: 'output', meta })
}
