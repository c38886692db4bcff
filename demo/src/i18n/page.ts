import { catalogue } from './catalogue'

/** The frame: the header, the tabs, the help, the code view. */
export const page = catalogue({
  en: {
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
  },
  fr: {
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
  },
})

export const tabs = catalogue({
  en: { Write: 'Write', Tokens: 'Tokens', Tree: 'Tree', Compare: 'Compare', Code: 'Code' },
  fr: { Write: 'Écrire', Tokens: 'Tokens', Tree: 'Arbre', Compare: 'Comparer', Code: 'Code' },
})

export const help = catalogue({
  en: {
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
  },
  fr: {
    title: 'Comment ça marche',
    intro: 'Écrivez le début d’un texte et le modèle le continue sur place. Changez ce que vous voulez, ses mots ou les vôtres, et laissez-le poursuivre. Ce que '
      + 'le modèle a écrit est teinté\u202f; chaque réponse est gardée comme une branche\u202f: réessayer ne fait rien perdre.',
    keys: 'Clavier',
    generate: 'Générer\u202f: le modèle continue le texte',
    stop: 'Arrêter, en gardant le texte déjà écrit',
    redoPrevious: 'Refaire\u202f: une autre à la place de la dernière',
    branches: 'La branche d’avant ou d’après, à la bifurcation choisie',
    forks: 'La bifurcation d’avant ou d’après, à partir de la dernière',
    undo: 'Annuler, même ce que le modèle a écrit',
    redo: 'Rétablir',
    help: 'Cette aide',
    enter: 'Entrée',
    shift: 'Maj',
    privacy: 'Votre texte reste dans ce navigateur. La clé ne va qu’à ce serveur. Le même serveur répond aussi aux programmes\u202f: voir',
    documentation: 'la documentation de l’API',
  },
})

export const codeWords = catalogue({
  en: {
    language: 'Language of the code',
    copy: 'Copy code',
    copied: 'Copied',
    selectIt: 'Select the text to copy it',
    request: (language: string) => `The request in ${language}`,
    keyFirst: 'Put the key into the environment first:',
    keyNever: 'It is never written here.',
  },
  fr: {
    language: 'Langage du code',
    copy: 'Copier le code',
    copied: 'Copié',
    selectIt: 'Sélectionnez le texte pour le copier',
    request: (language) => `La requête en ${language}`,
    keyFirst: 'Mettez d’abord la clé dans l’environnement\u202f:',
    keyNever: 'Elle n’est jamais écrite ici.',
  },
})
