import type * as english from '../sessions'

export const sessionWords: typeof english.sessionWords = {
  session: 'Session',
  untitled: 'Sans titre',
  new: 'Nouvelle',
  newHint: 'Commencer un autre texte\u202f; celui-ci est gardé',
  rename: 'Renommer',
  delete: 'Supprimer',
  name: 'Nom de la session',
  save: 'Enregistrer',
  cancel: 'Annuler',
  deleted: (name) => `«\u202f${name}\u202f» supprimée`,
  undoDelete: 'Restaurer',
  beside: (name) => `Ce texte a aussi été changé dans un autre onglet\u202f; ce qui est ici est gardé comme «\u202f${name}\u202f»`,
  unreadable: 'Cette session ne peut pas être lue.',
  unsaved: 'Ce navigateur ne garde pas de sessions ici. Exportez le texte pour le garder.',
}
