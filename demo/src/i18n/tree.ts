import { catalogue } from './catalogue'

/** The tree of what has been written. */
export const treeWords = catalogue('treeWords', {
  tree: 'Tree of the text',
  you: 'You',
  inText: 'in the text',
  aside: 'kept aside',
  branches: '{0|branch|branches}',
  noForks: 'No forks yet. Redo previous, Completions above 1, or an edit inside the text make some; nothing is ever lost.',
  keys: 'Arrows move, Enter shows a branch, Shift+Enter goes to the end of the piece itself.',
  here: 'here',
  blank: 'blank page',
  nothing: 'wrote nothing',
  previous: 'To the branch before {0}/{1}',
  next: 'To the branch after {0}/{1}',
  more: '{0|more piece|more pieces}',
  hidden: '{0} hidden',
  tokens: '{0|token|tokens}',
  seed: 'seed {0}',
  reachedMax: 'max tokens',
  cut: 'cut short',
  picked: 'picked “{0}”',
  takenBack: 'taken back',
})
