import { treeWords as t } from '../i18n/tree'
import type { TreeItem } from './layout'
import { shortOf } from './preview'
import type { Segment } from './segments'

/** What the tree says of its items. */

/** Who wrote a segment and how that went: for the eye beside it, and in the item's name. */
export function factsOf(segment: Segment): string[] {
  if (segment.kind === 'user') return [t.you]
  const { model, finish, isEnd, tokens, seed, pick } = segment
  return [
    model ?? '',
    pick === null ? '' : t.picked(shortOf(pick).trim()),
    isEnd ? (finish === null ? t.cut : finish === 'length' ? t.reachedMax : finish) : '',
    tokens === null ? '' : t.tokens(tokens),
    seed === null ? '' : t.seed(String(seed)),
  ].filter((fact) => fact !== '')
}

/** What stands in place of a text where there is none. */
export function emptyWords(segment: Segment): string {
  return segment.kind === 'user' ? t.blank : t.nothing
}

/** An item's name. */
export function labelOf(item: TreeItem): string {
  const { branch } = item
  const parts = item.segments.map((segment) => {
    const [who, ...facts] = factsOf(segment)
    const text = segment.text === '' ? emptyWords(segment) : shortOf(segment.text)
    const place = [segment.isHead ? t.here : '', item.isOnPath && !segment.isVisible ? t.takenBack : '']
    return [`${who}: ${text}`, ...facts, ...place].filter((part) => part !== '').join(', ')
  })
  return [branch ? `${branch.at}/${branch.of}` : '', ...parts, item.isOnPath ? t.inText : ''].filter((part) => part !== '').join('. ')
}

/** The segments worth a line: the ends of a long chain and where the head is, with the number left out before each. */
export function linesOf(segments: readonly Segment[]): { segment: Segment; skipped: number }[] {
  const isWorth = ({ isHead }: Segment, index: number): boolean => isHead || index < 2 || index >= segments.length - 2 || segments.length <= 5
  let skipped = 0
  return segments.flatMap((segment, index) => {
    if (!isWorth(segment, index)) {
      skipped += 1
      return []
    }
    const line = { segment, skipped }
    skipped = 0
    return [line]
  })
}
