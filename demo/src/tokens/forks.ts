import { forkAt, type Fork } from '../document/run'
import { pathTo, type DocumentTree, type NodeId } from '../document/tree'
import type { Item } from './compose'

/** The first item of each piece whose tokens are recorded. */
function firstOf(items: readonly Item[]): Map<NodeId, number> {
  const firsts = new Map<NodeId, number>()
  for (const [at, item] of items.entries()) if (item.kind === 'recorded' && !firsts.has(item.node)) firsts.set(item.node, at)
  return firsts
}

/** The forks of the visible path, each at the item where its branch begins or, where a scored token spans the border, at that token. */
export function forksAt(tree: DocumentTree, items: readonly Item[]): Map<number, Fork> {
  const forks = new Map<number, Fork>()
  const firsts = firstOf(items)
  let start = 0
  let at = 0
  for (const node of pathTo(tree, tree.head)) {
    while (at < items.length && (items[at]?.start ?? 0) + (items[at]?.text.length ?? 0) <= start) at += 1
    const fork = forkAt(tree, node)
    const own = firsts.get(node.id)
    const place = own !== undefined && items[own]?.start === start ? own : at
    if (fork && place < items.length) forks.set(place, fork)
    start += node.text.length
  }
  return forks
}
