import { computed, shallowRef, type ComputedRef, type ShallowRef } from 'vue'

import { editText } from '../document/edit'
import { lastFork, previousRunBase, tipOf, type Fork } from '../document/run'
import { emptyTree, moveHead, pathTo, redo, textOf, undo, type DocumentNode, type DocumentTree } from '../document/tree'

/** A pause in typing this long starts a new step of undo, in milliseconds. */
const PAUSE_MS = 900

export interface SandboxDocument {
  tree: ShallowRef<DocumentTree>
  text: ComputedRef<string>
  /** The visible text in pieces, each with its author. */
  pieces: ComputedRef<DocumentNode[]>
  canUndo: ComputedRef<boolean>
  canRedo: ComputedRef<boolean>
  canRedoRun: ComputedRef<boolean>
  fork: ComputedRef<Fork | null>
  /** The document that an import has taken the place of. */
  replaced: ShallowRef<DocumentTree | null>
  /** The user's typing; edits close together become one step. */
  type: (text: string) => void
  /** An edit in one go, such as a preset's text. */
  set: (text: string) => void
  undo: () => void
  redo: () => void
  /** Shows the branch before (-1) or after (1) the one shown. */
  stepBranch: (by: -1 | 1) => void
  replace: (tree: DocumentTree) => void
  putBack: () => void
}

export function useDocument(saved: DocumentTree | null): SandboxDocument {
  const tree = shallowRef(saved ?? emptyTree())
  const replaced = shallowRef<DocumentTree | null>(null)
  const fork = computed(() => lastFork(tree.value))
  let typedAtMs = 0

  function type(text: string): void {
    const nowMs = performance.now()
    tree.value = editText(tree.value, text, nowMs - typedAtMs < PAUSE_MS)
    typedAtMs = nowMs
  }

  function stepBranch(by: -1 | 1): void {
    const branch = fork.value?.branches[fork.value.at + by]
    if (branch !== undefined) tree.value = moveHead(tree.value, tipOf(tree.value, branch))
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
    replace,
    putBack,
  }
}
