import type * as english from '../presets'

export const presetNames: typeof english.presetNames = {
  classic: 'Classic Sandle',
  story: 'Histoire',
  likely: 'Mots les plus probables',
  classify: 'Classement d’après des exemples',
  translate: 'Traduction d’après des exemples',
  blank: 'Page blanche',
}

export const presetWords: typeof english.presetWords = {
  preset: 'Préréglage',
  custom: 'Personnalisé',
  yours: 'Les vôtres',
  saveAs: 'Enregistrer ce préréglage…',
  delete: 'Supprimer ce préréglage',
  name: 'Nom du préréglage',
  save: 'Enregistrer',
  replace: 'Remplacer',
  cancel: 'Annuler',
  notKept: 'Ce navigateur n’a pas de place\u202f: le préréglage dure jusqu’à ce que la page soit quittée.',
}
