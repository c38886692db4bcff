import type * as english from '../page'

export const page: typeof english.page = {
  theme: 'Thème',
  system: 'Système',
  light: 'Clair',
  dark: 'Sombre',
  language: 'Langue',
  about: 'À propos',
  api: 'API',
  apiHint: 'La documentation de l’API',
  help: 'Aide',
  helpHint: 'Aide (?)',
  views: 'Vues',
  close: 'Fermer',
}

export const tabs: typeof english.tabs = {
  Write: 'Écrire',
  Tokens: 'Tokens',
  Tree: 'Arbre',
  Compare: 'Comparer',
  Code: 'Code',
}
