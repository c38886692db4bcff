import type { Saved } from './transfer'
import type { DocumentNode, Token } from './tree'

/**
 * A saved sandbox in the form in which IndexedDB takes it fast: the browser copies a string at once, but the hundred thousand little
 * objects of a long text's tokens one by one. A list of tokens never changes, so that it is written as a string only once.
 */

export type PackedNode = Omit<DocumentNode, 'tokens'> & { tokens: string }
export type Packed = Omit<Saved, 'document'> & { document: Omit<Saved['document'], 'nodes'> & { nodes: PackedNode[] } }

const strings = new WeakMap<Token[], string>()

function packTokens(tokens: Token[]): string {
  const known = strings.get(tokens)
  if (known !== undefined) return known
  const string = tokens.length === 0 ? '' : JSON.stringify(tokens)
  strings.set(tokens, string)
  return string
}

export function pack(saved: Saved): Packed {
  const { document } = saved
  return { ...saved, document: { ...document, nodes: document.nodes.map((node) => ({ ...node, tokens: packTokens(node.tokens) })) } }
}

function unpackNode(node: unknown): unknown {
  const { tokens } = (node ?? {}) as { tokens?: unknown }
  if (typeof tokens !== 'string') return node
  return { ...(node as object), tokens: tokens === '' ? [] : (JSON.parse(tokens) as unknown) }
}

/** What was packed, for `restore` to read; anything else stays as it is, such as what was saved before there was packing. */
export function unpack(value: unknown): unknown {
  const { document } = (value ?? {}) as { document?: { nodes?: unknown } }
  if (!Array.isArray(document?.nodes)) return value
  return { ...(value as object), document: { ...document, nodes: document.nodes.map(unpackNode) } }
}
