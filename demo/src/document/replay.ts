import { isPick } from './branch'
import { childrenOf, pathTo, type DocumentNode, type DocumentTree, type NodeId, type RunMeta, type Token } from './tree'

/** Whether a run, repeated, writes the same again. */

/** What the last run on the visible path has left there. */
export interface LastRun {
  run: string
  /** The node that the answer follows, after the start text if any. */
  base: NodeId
  meta: RunMeta
  text: string
  tokens: Token[]
  /** Whether more was written than is still there, or than was waited for. */
  isPartial: boolean
}

export type Replayed = { identical: true } | { identical: false; unit: 'token' | 'character'; at: number; expected: string; got: string }

/** How much of a text is shown where two differ, in UTF-16 units. */
const EXCERPT = 24

/** The last answer that still stands where it was written. */
export function lastRun(tree: DocumentTree): LastRun | null {
  const path = pathTo(tree, tree.head)
  const isWritten = (node: DocumentNode | undefined): node is DocumentNode => node?.part === 'output' && node.meta?.choice !== undefined && !isPick(node)
  const end = path.findLastIndex(isWritten)
  const last = path[end]
  if (!last?.meta || last.run === null) return null
  let start = end
  while (isWritten(path[start - 1]) && path[start - 1]?.run === last.run) start -= 1
  const pieces = path.slice(start, end + 1)
  const isCut = childrenOf(tree, last.id).some((child) => isWritten(child) && child.run === last.run)
  return {
    run: last.run,
    base: (path[start - 1] as DocumentNode).id, // the root is the user's
    meta: last.meta,
    text: pieces.map((node) => node.text).join(''),
    tokens: pieces.every((node) => node.text === '' || node.tokens.length > 0) ? pieces.flatMap((node) => node.tokens) : [],
    isPartial: isCut || last.meta.finish === null,
  }
}

const nameOf = (token: Token | undefined): string => (token ? (token.shown ?? token.text) : '')

function isSameToken(one: Token, other: Token | undefined): boolean {
  if (one.id !== null && other && other.id !== null) return one.id === other.id
  return nameOf(one) === nameOf(other)
}

/** Where a repeated answer first differs from what the run wrote. The part of a partial answer that is there counts, and no more. */
export function compareReplay(expected: Pick<LastRun, 'text' | 'tokens' | 'isPartial'>, got: { text: string; tokens: readonly Token[] }): Replayed {
  if (expected.isPartial ? got.text.startsWith(expected.text) : got.text === expected.text) return { identical: true }
  if (expected.tokens.length > 0 && got.tokens.length > 0) {
    const differs = expected.tokens.findIndex((token, at) => !isSameToken(token, got.tokens[at]))
    const at = differs < 0 ? expected.tokens.length : differs
    return { identical: false, unit: 'token', at, expected: nameOf(expected.tokens[at]), got: nameOf(got.tokens[at]) }
  }
  let at = 0
  while (at < expected.text.length && expected.text.charCodeAt(at) === got.text.charCodeAt(at)) at += 1
  if (at > 0 && (expected.text.charCodeAt(at - 1) & 0xfc00) === 0xd800) at -= 1
  return { identical: false, unit: 'character', at, expected: expected.text.slice(at, at + EXCERPT), got: got.text.slice(at, at + EXCERPT) }
}
