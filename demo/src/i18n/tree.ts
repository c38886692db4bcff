import { catalogue, formatCount, plural } from './catalogue'

/** The tree of what has been written. */
export const treeWords = catalogue('treeWords', {
  tree: 'Tree of the text',
  you: 'You',
  inText: 'in the text',
  aside: 'kept aside',
  branches: (count: number) => plural(count, 'branch', 'branches'),
  noForks: 'No forks yet. Redo previous, Completions above 1, or an edit inside the text make some; nothing is ever lost.',
  keys: 'Arrows move, Enter shows a branch, Shift+Enter goes to the end of the piece itself.',
  here: 'here',
  blank: 'blank page',
  nothing: 'wrote nothing',
  previous: (at: number, of: number) => `To the branch before ${at}/${of}`,
  next: (at: number, of: number) => `To the branch after ${at}/${of}`,
  more: (count: number) => plural(count, 'more piece', 'more pieces'),
  hidden: (count: number) => `${formatCount(count)} hidden`,
  tokens: (count: number) => plural(count, 'token', 'tokens'),
  seed: (seed: number) => `seed ${seed}`,
  finish: (reason: string) => (reason === 'length' ? 'max tokens' : reason),
  cut: 'cut short',
  picked: (token: string) => `picked “${token}”`,
  takenBack: 'taken back',
})
