import { shortOf } from './preview'
import type { Row } from './rows'

/** What a key does in the tree, after the ARIA practices for a tree of which one item at a time is chosen. */
export type KeyAction =
  | { does: 'focus'; row: Row }
  | { does: 'fold'; row: Row; opens: boolean }
  | { does: 'show'; row: Row }
  /** Goes to the end of the item itself, not of what follows it. */
  | { does: 'enter'; row: Row }

/** Null for a key that means nothing here. */
export function actionFor(event: Pick<KeyboardEvent, 'key' | 'shiftKey' | 'ctrlKey' | 'altKey' | 'metaKey'>, rows: readonly Row[], at: number): KeyAction | null {
  const row = rows[at]
  if (!row || event.ctrlKey || event.altKey || event.metaKey) return null
  const focus = (target: Row | undefined): KeyAction => ({ does: 'focus', row: target ?? row })
  switch (event.key) {
    case 'ArrowDown': return focus(rows[at + 1])
    case 'ArrowUp': return focus(rows[at - 1])
    case 'Home': return focus(rows[0])
    case 'End': return focus(rows.at(-1))
    case 'ArrowRight': return row.isExpanded === false ? { does: 'fold', row, opens: true } : focus(row.isExpanded ? rows[at + 1] : row)
    case 'ArrowLeft': return row.isExpanded ? { does: 'fold', row, opens: false } : focus(rows.find(({ item }) => item === row.item.parent))
    case 'Enter':
    case ' ': return { does: event.shiftKey ? 'enter' : 'show', row }
    default: return null
  }
}

/** The next row after `at`, going round, with a piece that begins with what was typed: as it is seen, spaces at its beginning aside. */
export function findTyped(rows: readonly Row[], at: number, typed: string): Row | null {
  const wanted = typed.toLowerCase()
  const matches = ({ item }: Row): boolean => item.segments.some(({ text }) => shortOf(text.trimStart()).toLowerCase().startsWith(wanted))
  return [...rows.slice(at), ...rows.slice(0, at)].find(matches) ?? null
}
