import { signal } from '@preact/signals-core'

import type { NodeId } from '../document/tree'
import type { Sandbox } from '../state/sandbox'
import type { TreeItem } from './layout'

/** Trees up to this size open as a whole; of a larger one, the way of the visible text. */
const SMALL = 40

export interface Folding {
  isExpanded: (item: TreeItem, count: number) => boolean
  set: (item: TreeItem, isExpanded: boolean) => void
}

const foldings = new WeakMap<Sandbox, Folding>()

/** Which items are folded in: what the reader has chosen outlasts a look at another tab. */
export function foldingOf(sandbox: Sandbox): Folding {
  const known = foldings.get(sandbox)
  if (known) return known
  const chosen = signal<ReadonlyMap<NodeId, boolean>>(new Map())
  const folding: Folding = {
    isExpanded: (item, count) => chosen.value.get(item.id) ?? (count <= SMALL || item.isOnPath || item.parent === null),
    set: (item, isExpanded) => { chosen.value = new Map(chosen.value).set(item.id, isExpanded) },
  }
  foldings.set(sandbox, folding)
  return folding
}
