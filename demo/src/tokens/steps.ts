import type { Item } from './compose'

/** A token below this share is worth a jump with Ctrl and an arrow. */
const RARE = Math.log(0.1)

/** The nearest token at or after an item, else before it; -1 when there is none, or for an item of -1. */
export function nearestToken(items: readonly Item[], item: number): number {
  if (item < 0) return -1
  const after = seek(items, item, 1, () => true)
  return after >= 0 ? after : seek(items, Math.min(item, items.length - 1), -1, () => true)
}

/** The first token from `at` on, in steps of `by`, that is sought; -1 when there is none. */
function seek(items: readonly Item[], at: number, by: -1 | 1, isSought: (item: Item) => boolean): number {
  for (let to = at; to >= 0 && to < items.length; to += by) {
    const item = items[to]
    if (item?.token && isSought(item)) return to
  }
  return -1
}

function isRare({ token }: Item): boolean {
  return token !== null && token.logprob !== null && token.logprob < RARE
}

/** Where a key leads from a token: its neighbours, the ends, with Ctrl the next token that surprises. Null for other keys, and at an end. */
export function stepFrom(items: readonly Item[], item: number, key: string, withCtrl: boolean): number | null {
  const isSought = withCtrl ? isRare : () => true
  const to = key === 'ArrowRight' ? seek(items, item + 1, 1, isSought)
    : key === 'ArrowLeft' ? seek(items, item - 1, -1, isSought)
      : key === 'Home' ? seek(items, 0, 1, () => true)
        : key === 'End' ? seek(items, items.length - 1, -1, () => true) : -1
  return to < 0 ? null : to
}

/** Where in the text's new items the token is that was looked at: scoring gives the text before it tokens of its own. */
export function placeIn(items: readonly Item[], at: number, was: Item | undefined): number {
  if (!was || items[at]?.start === was.start) return at
  const same = items.findIndex(({ start, token }) => start === was.start && token?.text === was.token?.text)
  return same >= 0 ? same : items.findIndex(({ start }) => start >= was.start)
}
