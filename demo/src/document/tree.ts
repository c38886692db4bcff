/**
 * The document: a tree of pieces of text. What the user sees is the path from the root to the head.
 *
 * Nothing is ever destroyed: an edit or a run adds nodes and moves the head; undo and redo only move it. All functions
 * are pure and return a new tree. An id, once given, keeps its meaning: the path that ends at a node spells the same
 * text for ever (only the newest, still growing node and the edit being typed change), so heads kept in `past` and `future` stay valid.
 */

export type NodeId = number

/** What the model might have written in a place, as the server spells it. */
export interface Alternative {
  /** The token's text; `bytes:\xe2` where it is only part of a character. */
  text: string
  logprob: number
  /** Null where the server does not give ids. */
  id: number | null
}

export interface Token {
  /** What the token adds to the text: nothing for a special token or the first bytes of a character. */
  text: string
  /** The token as the server writes it, where that differs from `text`: `<s>`, `bytes:\xe2`. */
  shown?: string
  /** Null where the server gives no ids. */
  id: number | null
  /** Natural logarithm of its probability before temperature and the like; null for a first token, or where unknown. */
  logprob: number | null
  /** The likeliest tokens in its place, the likeliest first, the token itself among them; empty where unknown. */
  top: readonly Alternative[]
}

/** How a piece written by the model came about. */
export interface RunMeta {
  model: string
  /** The request's fields without the prompt. */
  params: Record<string, unknown>
  finish: string | null
  usage: { promptTokens: number; completionTokens: number } | null
  /** Milliseconds to the first text; null when none came. */
  ttftMs: number | null
  /** Tokens a second after the first, null when unknown. */
  tps: number | null
  /** Which of the request's choices the piece is; not there for a piece that an edit has put after another text. */
  choice?: number
}

export interface DocumentNode {
  id: NodeId
  parent: NodeId | null
  kind: 'user' | 'model'
  text: string
  tokens: Token[]
  /** The run that made this piece: the model's output, and the start and restart text around it. */
  run: string | null
  part: 'text' | 'start' | 'output' | 'restart'
  meta: RunMeta | null
}

export interface DocumentTree {
  nodes: Readonly<Record<NodeId, DocumentNode>>
  root: NodeId
  head: NodeId
  past: readonly NodeId[]
  future: readonly NodeId[]
  nextId: NodeId
  /** The edit being typed, which further typing may still change: where it started and the nodes it has added. */
  typing: { from: NodeId; added: readonly NodeId[] } | null
}

export function emptyTree(): DocumentTree {
  const root: DocumentNode = { id: 0, parent: null, kind: 'user', text: '', tokens: [], run: null, part: 'text', meta: null }
  return { nodes: { 0: root }, root: 0, head: 0, past: [], future: [], nextId: 1, typing: null }
}

/** The nodes from the root to `id`. */
export function pathTo(tree: DocumentTree, id: NodeId): DocumentNode[] {
  const path: DocumentNode[] = []
  for (let at: NodeId | null = id; at !== null;) {
    const node: DocumentNode | undefined = tree.nodes[at]
    if (!node) throw new Error(`The document has no node ${at}`)
    path.push(node)
    at = node.parent
  }
  return path.reverse()
}

export function textOf(tree: DocumentTree, id: NodeId = tree.head): string {
  return pathTo(tree, id).map((node) => node.text).join('')
}

/** How many characters (code points) a text has. */
export function countCharacters(text: string): number {
  let count = text.length
  for (let at = 1; at < text.length; at += 1) {
    if ((text.charCodeAt(at) & 0xfc00) === 0xdc00 && (text.charCodeAt(at - 1) & 0xfc00) === 0xd800) count -= 1
  }
  return count
}

const families = new WeakMap<DocumentTree['nodes'], Map<NodeId | null, DocumentNode[]>>()

/** All children by their parents, found once for each state of the document. */
function familiesOf(nodes: DocumentTree['nodes']): Map<NodeId | null, DocumentNode[]> {
  const known = families.get(nodes)
  if (known) return known
  const found = new Map<NodeId | null, DocumentNode[]>()
  for (const node of Object.values(nodes)) {
    const siblings = found.get(node.parent)
    if (siblings) siblings.push(node)
    else found.set(node.parent, [node])
  }
  families.set(nodes, found)
  return found
}

/** The children of a node, oldest first. */
export function childrenOf(tree: DocumentTree, id: NodeId): readonly DocumentNode[] {
  return familiesOf(tree.nodes).get(id) ?? []
}

type Piece = Partial<Omit<DocumentNode, 'id' | 'parent'>> & Pick<DocumentNode, 'kind' | 'text'>

/** Adds a node under `parent`; the head stays where it is. */
export function addNode(tree: DocumentTree, parent: NodeId, piece: Piece): [DocumentTree, NodeId] {
  const id = tree.nextId
  const node: DocumentNode = { tokens: [], run: null, part: 'text', meta: null, ...piece, id, parent }
  return [{ ...tree, nodes: { ...tree.nodes, [id]: node }, nextId: id + 1 }, id]
}

export function updateNode(tree: DocumentTree, id: NodeId, change: (node: DocumentNode) => Partial<DocumentNode>): DocumentTree {
  const node = tree.nodes[id]
  if (!node) return tree
  return { ...tree, nodes: { ...tree.nodes, [id]: { ...node, ...change(node) } } }
}

/** Moves the head as one step that undo takes back. */
export function moveHead(tree: DocumentTree, head: NodeId): DocumentTree {
  if (head === tree.head) return { ...tree, typing: null }
  return { ...tree, head, past: [...tree.past, tree.head], future: [], typing: null }
}

export function undo(tree: DocumentTree): DocumentTree {
  const head = tree.past.at(-1)
  if (head === undefined) return tree
  return { ...tree, head, past: tree.past.slice(0, -1), future: [...tree.future, tree.head], typing: null }
}

export function redo(tree: DocumentTree): DocumentTree {
  const head = tree.future.at(-1)
  if (head === undefined) return tree
  return { ...tree, head, past: [...tree.past, tree.head], future: tree.future.slice(0, -1), typing: null }
}
