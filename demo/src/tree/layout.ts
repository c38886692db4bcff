import type { DocumentNode, DocumentTree, NodeId } from '../document/tree'
import { runsOf, segmentsOf, type Segment } from './segments'

/**
 * The document as the tree panel shows it: each item is a chain of nodes between two forks, so that the depth of the picture is
 * that of the forks. Pure, without recursion (a document may be as deep as it is long), and linear in the number of nodes.
 */
export interface TreeItem {
  /** The chain's first node, by which the item is known from one layout to the next. */
  id: NodeId
  /** The chain's last node. */
  end: NodeId
  /** The end of the newest text below: where taking this branch leads. */
  tip: NodeId
  parent: TreeItem | null
  /** In the order shown: the oldest first, a straight one last. */
  children: TreeItem[]
  /** How deep it is, from 1; and how far it is set in, which is less. */
  level: number
  indent: number
  /** Whether it goes on right below its parent: it alone leads to the most. */
  isStraight: boolean
  /** Which of the alternatives in its place it is, counted from 1 in the order of their age; null without alternatives. */
  branch: { at: number; of: number; previous: TreeItem | null; next: TreeItem | null } | null
  /** Whether the visible text passes through it, and whether it ends in it. */
  isOnPath: boolean
  hasHead: boolean
  /** How many items it stands for, with all below it. */
  size: number
  segments: Segment[]
}

/** The children of every node, oldest first: one pass in place of a search for each. */
function childrenByParent(tree: DocumentTree): Map<NodeId, DocumentNode[]> {
  const children = new Map<NodeId, DocumentNode[]>()
  for (const node of Object.values(tree.nodes)) {
    if (node.parent === null) continue
    const siblings = children.get(node.parent)
    if (siblings) siblings.push(node)
    else children.set(node.parent, [node])
  }
  return children
}

/** All items, each before those below it; the first ones are those without a parent. */
export function layOut(tree: DocumentTree): TreeItem[] {
  const childrenOf = childrenByParent(tree)
  const onPath = new Set<NodeId>()
  for (let at: NodeId | null = tree.head; at !== null; at = tree.nodes[at]?.parent ?? null) onPath.add(at)
  const root = tree.nodes[tree.root]
  const runs = runsOf(tree)
  const waiting: [DocumentNode, TreeItem | null][] = root ? [[root, null]] : []
  const items: TreeItem[] = []
  for (let next = waiting.pop(); next; next = waiting.pop()) {
    const [first, parent] = next
    const chain = [first]
    let below = childrenOf.get(first.id) ?? []
    for (let only = below[0]; only && below.length === 1; only = below[0]) {
      chain.push(only)
      below = childrenOf.get(only.id) ?? []
    }
    const isOnPath = onPath.has(first.id)
    const item = newItem(chain, parent, isOnPath, tree.head, segmentsOf(chain, tree.head, isOnPath, runs))
    // An empty beginning that leads to several texts says nothing, unless the reader stands in it.
    const isShown = item.segments.length > 0
    if (isShown) {
      parent?.children.push(item)
      items.push(item)
    }
    for (const child of below.toReversed()) waiting.push([child, isShown ? item : null])
  }
  measure(items)
  arrange(items)
  return inOrder(items.filter((item) => item.parent === null))
}

/** Each item, then all below it. */
function inOrder(tops: readonly TreeItem[]): TreeItem[] {
  const items: TreeItem[] = []
  const waiting = tops.toReversed()
  for (let item = waiting.pop(); item; item = waiting.pop()) {
    items.push(item)
    waiting.push(...item.children.toReversed())
  }
  return items
}

function newItem(chain: DocumentNode[], parent: TreeItem | null, isOnPath: boolean, head: NodeId, segments: Segment[]): TreeItem {
  const id = chain[0]?.id ?? head
  const end = chain.at(-1)?.id ?? id
  return {
    id, end, tip: end, parent, children: [], level: (parent?.level ?? 0) + 1, indent: 0, isStraight: false, branch: null,
    isOnPath, hasHead: segments.some(({ isHead }) => isHead), size: 1, segments,
  }
}

/** What each item holds below it, from the leaves up. */
function measure(items: readonly TreeItem[]): void {
  for (const item of items.toReversed()) {
    item.tip = item.children.at(-1)?.tip ?? item.end
    if (item.parent) item.parent.size += item.size
  }
}

/**
 * Numbers the alternatives and sets them in. The one that leads to the most goes straight on, so that a story told by choosing again and
 * again stays a column: n items are never set in by more than log2(n) steps, wherever the head is.
 */
function arrange(items: readonly TreeItem[]): void {
  number(items.filter((item) => item.parent === null))
  for (const item of items) {
    const { children } = item
    number(children)
    const most = Math.max(...children.map((child) => child.size))
    const largest = children.filter((child) => child.size === most)
    if (largest.length === 1 && largest[0] && children.length > 1) {
      largest[0].isStraight = true
      item.children = [...children.filter((child) => child !== largest[0]), largest[0]]
    }
    for (const child of children) child.indent = item.indent + (child.isStraight ? 0 : 1)
  }
}

function number(siblings: readonly TreeItem[]): void {
  if (siblings.length < 2) return
  for (const [index, item] of siblings.entries()) {
    item.branch = { at: index + 1, of: siblings.length, previous: siblings[index - 1] ?? null, next: siblings[index + 1] ?? null }
  }
}
