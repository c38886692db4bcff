import { catalogue } from './catalogue'

/** The frame: the header and the tabs. */
export const page = catalogue('page', {
  theme: 'Theme',
  system: 'System',
  light: 'Light',
  dark: 'Dark',
  language: 'Language',
  about: 'About',
  api: 'API',
  apiHint: 'The documentation of the API',
  help: 'Help',
  helpHint: 'Help (?)',
  views: 'Views',
  close: 'Close',
})

export const tabs = catalogue('tabs', {
  Write: 'Write',
  Tokens: 'Tokens',
  Tree: 'Tree',
  Compare: 'Compare',
  Code: 'Code',
})
