import { formatCount, formatDecimal, plural } from '../catalogue'
import type * as english from '../actions'
import { duration } from '../actions'

export const actions: typeof english.actions = {
  prompt: 'Invite',
  placeholder: 'Écrivez le début\u202f: le modèle continue à partir de là.',
  endsWithSpace: 'Le texte finit par une espace ou un saut de ligne. La plupart des modèles continuent mieux sans.',
  actions: 'Actions sur le texte',
  generate: 'Générer',
  stop: 'Arrêter',
  redoPrevious: 'Refaire',
  redoPreviousHint: 'Revenir avant la dernière réponse et générer de nouveau (Alt+R)',
  undo: 'Annuler',
  undoHint: 'Annuler (Ctrl+Z)',
  redo: 'Rétablir',
  redoHint: 'Rétablir (Ctrl+Maj+Z)',
  replay: 'Rejouer',
  replayHint: 'Redemander la même chose, avec la même graine, et comparer',
  previousBranch: 'Branche précédente',
  nextBranch: 'Branche suivante',
  previousBranchHint: 'Branche précédente (Alt+←)',
  nextBranchHint: 'Branche suivante (Alt+→)',
  branchOf: (at, of) => `Branche ${formatCount(at)} sur ${formatCount(of)}`,
  forkOf: (at, of, branch, branches) => `Bifurcation ${formatCount(at)} sur ${formatCount(of)}, branche ${formatCount(branch)} sur ${formatCount(branches)}`,
  putBack: 'Remettre le texte d’avant',
  characters: (count) => plural(count, 'caractère', 'caractères'),
  imported: (name) => `${name} importé`,
  unreadable: 'Le fichier ne peut pas être lu.',
  notJson: (name) => `${name} n’est pas un fichier JSON.`,
}

export const runs: typeof english.runs = {
  generating: 'Génération en cours',
  waiting: 'En attente du modèle',
  queued: (place) => `En attente dans la file, place ${formatCount(place)}`,
  stopped: 'Arrêté',
  finished: 'Terminé',
  finishedTokens: (count) => `Terminé, ${plural(count, 'token', 'tokens')}`,
  reachedMax: 'nombre maximal de tokens atteint',
  promptTokens: (count) => `${plural(count, 'token', 'tokens')} d’invite`,
  rate: (tps) => `${formatDecimal(tps, tps < 10 ? 1 : 0)} tokens/s`,
  first: (ms) => `le premier après ${duration(ms)}`,
  replaying: 'Nouvelle exécution',
  identical: 'Identique',
  diverged: (unit, at, expected, got) => `Diffère au ${unit === 'token' ? 'token' : 'caractère'} ${formatCount(at)}\u202f: «\u202f${expected}\u202f» avant, «\u202f${got}\u202f» maintenant`,
}
