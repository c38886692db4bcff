import type { TreeItem } from './layout'

/** A piece of line beside a row. */
export interface Rail {
  column: number
  /** through: from top to bottom; above: from the top to the dot; below: from the dot down; elbow: from the column's top to the dot in the next one. */
  shape: 'through' | 'above' | 'below' | 'elbow'
  /** Whether the visible text takes this way. */
  isPath: boolean
}

export interface Row {
  item: TreeItem
  rails: Rail[]
  /** Null for an item with nothing below it. */
  isExpanded: boolean | null
}

/** The rows to show, from the top, with the lines that join them. */
export function rowsOf(items: readonly TreeItem[], isExpanded: (item: TreeItem) => boolean): Row[] {
  const rows: Row[] = []
  // What passes by all the rows of an item: the lines of its ancestors that have more to come.
  const passing = new Map<TreeItem, Rail[]>()
  const isShown = new Map<TreeItem, boolean>()
  for (const item of items) {
    const { parent } = item
    if (parent && !isShown.get(parent)) continue
    const opens = item.children.length > 0 && isExpanded(item)
    isShown.set(item, opens)
    passing.set(item, parent ? passingBy(item, parent, passing.get(parent) ?? []) : [])
    rows.push({ item, rails: [...(passing.get(item) ?? []), ...ownRails(item, opens)], isExpanded: item.children.length > 0 ? opens : null })
  }
  return rows
}

function passingBy(item: TreeItem, parent: TreeItem, above: readonly Rail[]): Rail[] {
  const later = parent.children.slice(parent.children.indexOf(item) + 1)
  if (later.length === 0) return [...above]
  return [...above, { column: parent.indent, shape: 'through', isPath: later.some((sibling) => sibling.isOnPath) }]
}

function ownRails(item: TreeItem, opens: boolean): Rail[] {
  const rails: Rail[] = []
  if (item.parent) rails.push({ column: item.parent.indent, shape: item.isStraight ? 'above' : 'elbow', isPath: item.isOnPath })
  if (opens) rails.push({ column: item.indent, shape: 'below', isPath: item.children.some((child) => child.isOnPath) })
  return rails
}
