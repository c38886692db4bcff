import { catalogue } from './catalogue'

export const presetNames = catalogue({
  en: {
    classic: 'Classic Sandle',
    story: 'Story',
    likely: 'Most likely words',
    classify: 'Classification by examples',
    translate: 'Translation by examples',
    blank: 'Blank page',
  },
  fr: {
    classic: 'Classic Sandle',
    story: 'Histoire',
    likely: 'Mots les plus probables',
    classify: 'Classement d’après des exemples',
    translate: 'Traduction d’après des exemples',
    blank: 'Page blanche',
  },
})

export const presetWords = catalogue({
  en: {
    preset: 'Preset',
    custom: 'Custom',
    yours: 'Yours',
    saveAs: 'Save as preset…',
    delete: 'Delete preset',
    name: 'Name of the preset',
    save: 'Save',
    replace: 'Replace',
    cancel: 'Cancel',
    notKept: 'This browser has no room for it: the preset lasts until the page is left.',
  },
  fr: {
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
  },
})
