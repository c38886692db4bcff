import { catalogue } from './catalogue'

/** The help. */
export const help = catalogue('help', {
  title: 'How it works',
  intro: 'Write the beginning of a text and the model continues it in place. Change anything, its words or yours, and let it go on. What the model wrote is '
    + 'tinted; every answer is kept as a branch, so nothing is lost by trying again.',
  keys: 'Keys',
  generate: 'Generate: the model continues the text',
  stop: 'Stop, keeping the text so far',
  redoPrevious: 'Redo previous: another answer in place of the last one',
  branches: 'The branch before or after, at the chosen fork of the text',
  forks: 'The fork before or after, from the last one up',
  undo: 'Undo, also what the model wrote',
  redo: 'Redo',
  help: 'This help',
  enter: 'Enter',
  shift: 'Shift',
  privacy: 'Your text is kept in this browser. The key goes nowhere but to this server. The same server answers programs, too: see',
  documentation: 'the API’s documentation',
})
