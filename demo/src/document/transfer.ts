import { readSettings, type Settings } from '../settings/settings'
import type { Alternative, DocumentNode, DocumentTree, NodeId, RunMeta, Token } from './tree'

/** The saved form of a sandbox: what autosave and Export write, and what Import reads. It never holds a key. */

export const VERSION = 1

export interface Saved {
  app: 'sandle'
  version: number
  savedAt: string
  document: { nodes: DocumentNode[]; root: NodeId; head: NodeId; past: NodeId[]; future: NodeId[] }
  settings: Settings
}

export interface Restored {
  tree: DocumentTree
  settings: Settings
}

export function save(tree: DocumentTree, settings: Settings, now: Date): Saved {
  const { nodes, root, head, past, future } = tree
  return {
    app: 'sandle',
    version: VERSION,
    savedAt: now.toISOString(),
    document: { nodes: Object.values(nodes), root, head, past: [...past], future: [...future] },
    settings: { ...settings, numbers: { ...settings.numbers }, stop: [...settings.stop] },
  }
}

type Json = Record<string, unknown>

const isObject = (value: unknown): value is Json => typeof value === 'object' && value !== null && !Array.isArray(value)
const isId = (value: unknown): value is NodeId => Number.isSafeInteger(value) && (value as number) >= 0

const numberOrNull = (value: unknown): number | null => (typeof value === 'number' ? value : null)

function readTop(value: unknown): Alternative[] {
  if (!Array.isArray(value)) return []
  return value.filter((each): each is Alternative => isObject(each) && typeof each.text === 'string' && typeof each.logprob === 'number')
    .map(({ text, logprob, id }) => ({ text, logprob, id: numberOrNull(id) }))
}

function readTokens(value: unknown): Token[] {
  if (!Array.isArray(value)) return []
  return value.filter((token): token is Token => isObject(token) && typeof token.text === 'string').map(({ text, shown, id, logprob, top }) => ({
    text, ...(typeof shown === 'string' ? { shown } : {}), id: numberOrNull(id), logprob: numberOrNull(logprob), top: readTop(top),
  }))
}

function readMeta(value: unknown): RunMeta | null {
  if (!isObject(value) || typeof value.model !== 'string') return null
  const { usage } = value
  const hasUsage = isObject(usage) && typeof usage.promptTokens === 'number' && typeof usage.completionTokens === 'number'
  return {
    model: value.model,
    params: isObject(value.params) ? value.params : {},
    finish: typeof value.finish === 'string' ? value.finish : null,
    usage: hasUsage ? (usage as unknown as RunMeta['usage']) : null,
    ttftMs: typeof value.ttftMs === 'number' ? value.ttftMs : null,
    tps: typeof value.tps === 'number' ? value.tps : null,
    ...(typeof value.choice === 'number' ? { choice: value.choice } : {}),
  }
}

const PARTS: readonly unknown[] = ['text', 'start', 'output', 'restart']

function readNode(value: unknown): DocumentNode {
  if (!isObject(value) || !isId(value.id) || typeof value.text !== 'string' || !(value.parent === null || isId(value.parent))) {
    throw new Error('The file holds a piece of text that is not understood.')
  }
  return {
    id: value.id,
    parent: value.parent,
    kind: value.kind === 'model' ? 'model' : 'user',
    text: value.text,
    tokens: readTokens(value.tokens),
    run: typeof value.run === 'string' ? value.run : null,
    part: PARTS.includes(value.part) ? (value.part as DocumentNode['part']) : 'text',
    meta: readMeta(value.meta),
  }
}

/** Throws unless every node leads to the root, which makes the nodes one tree. */
function checkTree(nodes: Map<NodeId, DocumentNode>, root: NodeId): void {
  const reaching = new Set<NodeId>([root])
  if (nodes.get(root)?.parent !== null) throw new Error('The file’s document has no root.')
  for (const id of nodes.keys()) {
    const seen = new Set<NodeId>()
    let at: NodeId | null = id
    while (at !== null && !reaching.has(at)) {
      if (seen.has(at) || !nodes.has(at)) throw new Error('The file’s document is not a tree.')
      seen.add(at)
      at = nodes.get(at)?.parent ?? null
    }
    if (at === null) throw new Error('The file’s document is not a tree.')
    for (const each of seen) reaching.add(each)
  }
}

/** Reads what `save` wrote. Throws an Error whose message says what is wrong with the file. */
export function restore(value: unknown): Restored {
  if (!isObject(value) || value.app !== 'sandle') throw new Error('This is not a file that Sandle exported.')
  if (value.version !== VERSION) throw new Error(`The file has version ${String(value.version)}; this page reads version ${VERSION}.`)
  const { document } = value
  if (!isObject(document) || !Array.isArray(document.nodes)) throw new Error('The file holds no document.')
  const nodes = new Map(document.nodes.map(readNode).map((node) => [node.id, node]))
  const { root, head } = document
  if (!isId(root) || !isId(head) || !nodes.has(head)) throw new Error('The file’s document has no head.')
  checkTree(nodes, root)
  const known = (ids: unknown): NodeId[] => (Array.isArray(ids) ? ids.filter((id): id is NodeId => isId(id) && nodes.has(id)) : [])
  const nextId = Math.max(...nodes.keys()) + 1
  return {
    tree: { nodes: Object.fromEntries(nodes), root, head, past: known(document.past), future: known(document.future), nextId, typing: null },
    settings: readSettings(value.settings),
  }
}
