import type { DocumentNode, DocumentTree, NodeId, Token } from '../document/tree'

interface Remembered {
  model: string
  /** The ids that the model read before it wrote. */
  promptIds: number[]
  /** What each choice wrote. */
  outputs: readonly (readonly Token[])[]
}

function isRunOutput(node: DocumentNode | undefined, run: string | null): node is DocumentNode {
  return node?.part === 'output' && node.run === run
}

/** The ids that each run of this session has read and written: a branch goes on from the very same tokens. Never saved. */
export class RunMemory {
  private readonly runs = new Map<string, Remembered>()

  note(run: string, model: string, promptIds: number[], outputs: readonly (readonly Token[])[]): void {
    this.runs.set(run, { model, promptIds, outputs })
  }

  /** The ids that a run was given; null where they are not known. */
  promptIds(run: string): number[] | null {
    return this.runs.get(run)?.promptIds ?? null
  }

  /**
   * The ids of all tokens before token `index` of a node, for that model. Null unless every token between is one that the run wrote in
   * this place: an edit may have changed the text between, or put the node after another.
   */
  idsBefore(tree: DocumentTree, id: NodeId, index: number, model: string): number[] | null {
    const node = tree.nodes[id]
    const known = node?.run ? this.runs.get(node.run) : undefined
    if (!node || !known || known.model !== model) return null
    const before = [...node.tokens.slice(0, index)]
    for (let at = tree.nodes[node.parent ?? -1]; isRunOutput(at, node.run); at = tree.nodes[at.parent ?? -1]) before.unshift(...at.tokens)
    const isAsWritten = known.outputs.some((output) => before.every((token, place) => token === output[place]) && output[before.length] === node.tokens[index])
    const ids = [...known.promptIds, ...before.map((token) => token.id)]
    return isAsWritten && ids.every((each) => each !== null) ? ids : null
  }
}
