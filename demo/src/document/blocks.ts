/** A stretch of text by one author. */
export interface Stretch {
  kind: string
  text: string
}

/** A block is closed at the first line end after this many UTF-16 units. */
const BLOCK_UNITS = 2000

/**
 * The same text in blocks of whole lines, the last of which may be empty: what is typed at the end of a long text then changes one
 * block, and the browser lays out only that one anew.
 */
export function inBlocks(stretches: readonly Stretch[]): Stretch[][] {
  let block: Stretch[] = []
  let units = 0
  const blocks = [block]
  for (const { kind, text } of stretches) {
    for (let from = 0; from < text.length;) {
      const newline = text.indexOf('\n', from + Math.max(0, BLOCK_UNITS - units))
      const to = newline < 0 ? text.length : newline + 1
      block.push({ kind, text: text.slice(from, to) })
      units += to - from
      from = to
      if (newline < 0) continue
      blocks.push(block = [])
      units = 0
    }
  }
  return blocks
}
