import { isPick } from '../document/branch'
import type { DocumentNode, DocumentTree, NodeId, RunMeta } from '../document/tree'

/** A stretch of a chain by one author: of one run, where the author is a model, with the token that the reader has picked for it. */
export interface Segment {
  kind: DocumentNode['kind']
  text: string
  /** Null for the user's text. */
  model: string | null
  /** Why the model ended: `stop`, `length`; null where it was cut short. */
  finish: string | null
  /** Whether an answer of the model ends here. */
  isEnd: boolean
  /** Null where unknown. */
  tokens: number | null
  seed: number | null
  /** The token that the reader has picked for its beginning. */
  pick: string | null
  /** Whether the visible text ends with it. */
  isHead: boolean
  /** Whether it is part of the visible text. */
  isVisible: boolean
}

/** What a segment has to know of the rest of the document. */
export interface Runs {
  /** The nodes that more of the same answer follows: an edit has split them. */
  continued: ReadonlySet<NodeId>
  /** In how many nodes a run's answers lie. */
  outputs: ReadonlyMap<string, number>
}

export function runsOf(tree: DocumentTree): Runs {
  const continued = new Set<NodeId>()
  const outputs = new Map<string, number>()
  for (const node of Object.values(tree.nodes)) {
    if (node.part !== 'output' || node.run === null) continue
    outputs.set(node.run, (outputs.get(node.run) ?? 0) + 1)
    const parent = node.parent === null ? undefined : tree.nodes[node.parent]
    if (parent?.part === 'output' && parent.run === node.run) continued.add(parent.id)
  }
  return { continued, outputs }
}

/** The segments of a chain, without empty ones; where the head stands a segment ends, even an empty one. */
export function segmentsOf(chain: readonly DocumentNode[], head: NodeId, isOnPath: boolean, runs: Runs): Segment[] {
  const segments: Segment[] = []
  let group: DocumentNode[] = []
  let isVisible = isOnPath
  const close = (isHead: boolean): void => {
    const first = group[0]
    if (first && (isHead || first.kind === 'model' || group.some((node) => node.text !== ''))) segments.push(segmentOf(group, first, isHead, isVisible, runs))
    group = []
  }
  for (const node of chain) {
    const last = group.at(-1)
    if (last && !isSameHand(last, node)) close(false)
    group.push(node)
    if (node.id !== head) continue
    close(true)
    isVisible = false
  }
  close(false)
  return segments
}

function isSameHand(before: DocumentNode, after: DocumentNode): boolean {
  return before.kind === after.kind && (before.kind === 'user' || before.run === after.run || isPick(before))
}

function segmentOf(group: readonly DocumentNode[], first: DocumentNode, isHead: boolean, isVisible: boolean, runs: Runs): Segment {
  const last = group.at(-1) ?? first
  const meta = first.kind === 'model' ? last.meta : null
  const seed = meta?.params.seed
  return {
    kind: first.kind,
    text: group.map((node) => node.text).join(''),
    model: meta?.model ?? null,
    finish: meta?.finish ?? null,
    isEnd: meta !== null && !runs.continued.has(last.id) && !isPick(last),
    tokens: meta && countTokens(group, meta, runs),
    seed: typeof seed === 'number' ? seed : null,
    pick: isPick(first) ? first.text : null,
    isHead,
    isVisible,
  }
}

/** The tokens in the nodes where each spells its text; else the run's own figure, where all that it wrote is here. */
function countTokens(group: readonly DocumentNode[], meta: RunMeta, { outputs }: Runs): number | null {
  if (group.every((node) => node.tokens.length > 0)) return group.reduce((sum, node) => sum + node.tokens.length, 0)
  const run = group.at(-1)?.run ?? null
  return run !== null && outputs.get(run) === group.length ? meta.usage?.completionTokens ?? null : null
}
