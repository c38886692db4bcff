import { catalogue, formatCount, formatDecimal, plural } from './catalogue'

/** Around the text: the editor, the bar of actions, what a run says of itself. */
export const actions = catalogue({
  en: {
    prompt: 'Prompt',
    placeholder: 'Write the beginning. The model goes on from there.',
    endsWithSpace: 'The text ends with whitespace. Most models go on better without it.',
    actions: 'Actions',
    generate: 'Generate',
    stop: 'Stop',
    redoPrevious: 'Redo previous',
    redoPreviousHint: 'Go back before the last answer and generate again (Alt+R)',
    undo: 'Undo',
    undoHint: 'Undo (Ctrl+Z)',
    redo: 'Redo',
    redoHint: 'Redo (Ctrl+Shift+Z)',
    replay: 'Replay',
    replayHint: 'Ask the same again, seed and all, and compare',
    previousBranch: 'Previous branch',
    nextBranch: 'Next branch',
    putBack: 'Put back the earlier text',
    characters: (count: number) => plural(count, 'character', 'characters'),
    imported: (name: string) => `Imported ${name}`,
    unreadable: 'The file cannot be read.',
    notJson: (name: string) => `${name} is not a JSON file.`,
  },
  fr: {
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
    putBack: 'Remettre le texte d’avant',
    characters: (count) => plural(count, 'caractère', 'caractères'),
    imported: (name) => `${name} importé`,
    unreadable: 'Le fichier ne peut pas être lu.',
    notJson: (name) => `${name} n’est pas un fichier JSON.`,
  },
})

/** What a run says of itself. */
export const runs = catalogue({
  en: {
    generating: 'Generating',
    waiting: 'Waiting for the model',
    stopped: 'Stopped',
    finished: 'Finished',
    finishedTokens: (count: number) => `Finished, ${plural(count, 'token', 'tokens')}`,
    reachedMax: 'reached Max tokens',
    promptTokens: (count: number) => `${formatCount(count)} prompt tokens`,
    rate: (tps: number) => `${formatDecimal(tps, tps < 10 ? 1 : 0)} tokens/s`,
    first: (ms: number) => `first after ${duration(ms)}`,
    replaying: 'Replaying',
    identical: 'Identical',
    diverged: (unit: 'token' | 'character', at: number, expected: string, got: string) => `Diverged at ${unit} ${formatCount(at)}: “${expected}” then, “${got}” now`,
  },
  fr: {
    generating: 'Génération en cours',
    waiting: 'En attente du modèle',
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
  },
})

function duration(ms: number): string {
  return ms < 995 ? `${formatCount(ms)} ms` : `${formatDecimal(ms / 1000, 1)} s`
}
