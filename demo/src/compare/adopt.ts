import { editText } from '../document/edit'
import { appendOutput, beginRun, endRun, trimmedBase } from '../document/run'
import { textOf, type DocumentTree, type NodeId, type RunMeta, type Token } from '../document/tree'
import type { Question } from './comparison'

export interface Answer {
  text: string
  tokens: readonly Token[]
  finish: string | null
  meta: RunMeta
}

/**
 * Puts an answer into the document as if it had been generated where the question was asked, and shows it. Gives the tree and the
 * answer's node. Where the document has been replaced since, the question is put in first.
 */
export function adoptAnswer(tree: DocumentTree, { base, text, startText, restartText }: Question, answer: Answer): [DocumentTree, NodeId] {
  const [asked, from] = placeOf(tree, base, text)
  const [begun, place] = beginRun(asked, from, `run-${asked.nextId}`, 1, startText, answer.meta)
  const output = place.outputs[0] ?? from
  const written = appendOutput(begun, output, answer.text, [...answer.tokens])
  return [endRun(written, place, [answer.finish], restartText, {}), output]
}

/** The node whose path spells the question. */
function placeOf(tree: DocumentTree, base: NodeId, text: string): [DocumentTree, NodeId] {
  const there = tree.nodes[base] ? textOf(tree, base) : null
  if (there === text) return [tree, base]
  if (there?.trimEnd() === text) return trimmedBase(tree, base)
  const edited = { ...editText(tree, text), typing: null }
  return [edited, edited.head]
}
