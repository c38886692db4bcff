import type * as english from '../code'

export const codeWords: typeof english.codeWords = {
  language: 'Langage du code',
  copy: 'Copier le code',
  copied: 'Copié',
  selectIt: 'Sélectionnez le texte pour le copier',
  request: (language) => `La requête en ${language}`,
  keyFirst: 'Mettez d’abord la clé dans l’environnement\u202f:',
  keyNever: 'Elle n’est jamais écrite ici.',
}
