import { computed, type ReadonlySignal, signal, type Signal } from '@preact/signals-core'

import { editText } from '../document/edit'
import { forksOf, previousRunBase, tipOf, type Fork } from '../document/run'
import { emptyTree, moveHead, pathTo, redo, textOf, undo, type DocumentNode, type DocumentTree, type NodeId } from '../document/tree'
import { watch } from './reactive'

/** A pause in typing this long starts a new step of undo, in milliseconds. */
const PAUSE_MS = 900

export interface SandboxDocument {
  tree: Signal<DocumentTree>
  text: ReadonlySignal<string>
  /** The visible text in pieces, each with its author. */
  pieces: ReadonlySignal<DocumentNode[]>
  canUndo: ReadonlySignal<boolean>
  canRedo: ReadonlySignal<boolean>
  canRedoRun: ReadonlySignal<boolean>
  /** The forks on the visible path, the first one first. */
  forks: ReadonlySignal<Fork[]>
  /** The one whose branches are stepped through: the last, unless another was chosen. */
  fork: ReadonlySignal<Fork | null>
  /** The document that an import has taken the place of. */
  replaced: Signal<DocumentTree | null>
  /** The user's typing; edits close together become one step. */
  type: (text: string) => void
  /** An edit in one go, such as a preset's text. */
  set: (text: string) => void
  undo: () => void
  redo: () => void
  /** Shows the branch before (-1) or after (1) the one shown. */
  stepBranch: (by: -1 | 1) => void
  /** Chooses the fork before (-1) or after (1) the chosen one. */
  stepFork: (by: -1 | 1) => void
  replace: (tree: DocumentTree) => void
  putBack: () => void
}

export function createDocument(saved: DocumentTree | null): SandboxDocument {
  const tree = signal(saved ?? emptyTree())
  const replaced = signal<DocumentTree | null>(null)
  const forks = computed(() => forksOf(tree.value))
  /** The node that the chosen fork follows. What is written anew makes it the last one again. */
  const chosenFork = signal<NodeId | null>(null)
  watch(() => tree.value.nextId, () => { chosenFork.value = null })
  const fork = computed(() => forks.value.find(({ parent }) => parent === chosenFork.value) ?? forks.value.at(-1) ?? null)
  let typedAtMs = 0

  function type(text: string): void {
    const nowMs = performance.now()
    tree.value = editText(tree.value, text, nowMs - typedAtMs < PAUSE_MS)
    typedAtMs = nowMs
  }

  function stepBranch(by: -1 | 1): void {
    const branch = fork.value?.branches[fork.value.at + by]
    if (branch === undefined) return
    chosenFork.value = fork.value?.parent ?? null
    tree.value = moveHead(tree.value, tipOf(tree.value, branch))
  }

  function stepFork(by: -1 | 1): void {
    const next = fork.value && forks.value[forks.value.indexOf(fork.value) + by]
    if (next) chosenFork.value = next.parent
  }

  function replace(next: DocumentTree): void {
    if (textOf(tree.value) !== '' || tree.value.past.length > 0) replaced.value = tree.value
    tree.value = next
  }

  function putBack(): void {
    if (replaced.value) tree.value = replaced.value
    replaced.value = null
  }

  return {
    tree,
    replaced,
    forks,
    fork,
    text: computed(() => textOf(tree.value)),
    pieces: computed(() => pathTo(tree.value, tree.value.head).filter((node) => node.text !== '' || node.tokens.length > 0)),
    canUndo: computed(() => tree.value.past.length > 0),
    canRedo: computed(() => tree.value.future.length > 0),
    canRedoRun: computed(() => previousRunBase(tree.value) !== null),
    type,
    set: (text) => { tree.value = { ...editText(tree.value, text), typing: null } },
    undo: () => { tree.value = undo(tree.value) },
    redo: () => { tree.value = redo(tree.value) },
    stepBranch,
    stepFork,
    replace,
    putBack,
  }
}
