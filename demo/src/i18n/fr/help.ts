import type * as english from '../help'

export const help: typeof english.help = {
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
}
