import { formatCount, plural } from '../catalogue'
import type * as english from '../tree'

export const treeWords: typeof english.treeWords = {
  tree: 'Arbre du texte',
  you: 'Vous',
  inText: 'dans le texte',
  aside: 'gardé à côté',
  branches: (count) => plural(count, 'branche', 'branches'),
  noForks: 'Pas encore de bifurcation. «\u202fRefaire\u202f», plusieurs réponses à la fois ou une retouche dans le texte en créent\u202f; rien ne se perd.',
  keys: 'Les flèches déplacent, Entrée montre une branche, Maj+Entrée va à la fin du morceau lui-même.',
  here: 'ici',
  blank: 'page blanche',
  nothing: 'n’a rien écrit',
  previous: (at, of) => `Vers la branche avant ${at}/${of}`,
  next: (at, of) => `Vers la branche après ${at}/${of}`,
  more: (count) => plural(count, 'autre morceau', 'autres morceaux'),
  hidden: (count) => `${formatCount(count)} masqués`,
  tokens: (count) => plural(count, 'token', 'tokens'),
  seed: (seed) => `graine ${seed}`,
  finish: (reason) => (reason === 'length' ? 'tokens max' : reason),
  cut: 'interrompu',
  picked: (token) => `«\u202f${token}\u202f» choisi`,
  takenBack: 'annulé',
}
