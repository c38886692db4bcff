import { catalogue } from './catalogue'

/** The request as code. */
export const codeWords = catalogue('codeWords', {
  language: 'Language of the code',
  copy: 'Copy code',
  copied: 'Copied',
  selectIt: 'Select the text to copy it',
  request: 'The request in {0}',
  keyFirst: 'Put the key into the environment first:',
  keyNever: 'It is never written here.',
})
