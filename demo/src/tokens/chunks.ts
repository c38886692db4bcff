import type { Item } from './compose'

/** A stretch of items that is drawn as one block, or not at all: items [from, to). */
export interface Chunk {
  from: number
  to: number
}

/** About how many tokens a block holds. A block ends at a line's end where there is one in reach. */
const SIZE = 120
const REACH = 60

function borderAfter(items: readonly Item[], from: number): number {
  const limit = Math.min(items.length, from + SIZE + REACH)
  if (limit === items.length) return limit
  for (let at = limit; at > from + SIZE - REACH; at -= 1) if (items[at - 1]?.text.includes('\n')) return at
  for (let at = limit; at > from + SIZE; at -= 1) if (/^\s/.test(items[at]?.text ?? '')) return at
  return from + SIZE
}

/** Cuts the items into blocks. */
export function chunksOf(items: readonly Item[]): Chunk[] {
  const chunks: Chunk[] = []
  for (let from = 0; from < items.length;) {
    const to = borderAfter(items, from)
    chunks.push({ from, to })
    from = to
  }
  return chunks
}

/** The block that holds an item; -1 when none does. */
export function chunkAt(chunks: readonly Chunk[], item: number): number {
  let low = 0
  let high = chunks.length - 1
  while (low <= high) {
    const middle = (low + high) >> 1
    const chunk = chunks[middle]
    if (!chunk) return -1
    if (item < chunk.from) high = middle - 1
    else if (item >= chunk.to) low = middle + 1
    else return middle
  }
  return -1
}
