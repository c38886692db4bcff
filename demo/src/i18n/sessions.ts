import { catalogue } from './catalogue'

/** The documents in this browser. */
export const sessionWords = catalogue({
  en: {
    session: 'Session',
    untitled: 'Untitled',
    new: 'New',
    newHint: 'Begin another text; this one is kept',
    rename: 'Rename',
    delete: 'Delete',
    name: 'Name of the session',
    save: 'Save',
    cancel: 'Cancel',
    deleted: (name: string) => `“${name}” deleted`,
    undoDelete: 'Restore',
    beside: (name: string) => `This text was also changed in another tab; what stands here is kept as “${name}”`,
    unreadable: 'This session cannot be read.',
    unsaved: 'This browser does not keep sessions here. Export the text to keep it.',
  },
  fr: {
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
  },
})
