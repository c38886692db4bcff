import { formatCount, plural } from '../catalogue'
import type * as english from '../settings'

export const settingsWords: typeof english.settingsWords = {
  parameters: 'Paramètres',
  done: 'Terminé',
  answer: 'Réponse',
  sampling: 'Échantillonnage',
  penalties: 'Pénalités',
  aroundText: 'Autour du texte',
  startText: 'Texte de départ',
  startTextHint: 'Ajouté à votre texte avant que le modèle continue.',
  restartText: 'Texte de reprise',
  restartTextHint: 'Ajouté quand le modèle a fini.',
  suffix: 'Suite imposée',
  suffixHint: 'Ce qui doit venir après la réponse\u202f: le modèle comble le vide.',
  strip: 'Ôter les espaces de la fin avant de générer',
  export: 'Exporter',
  import: 'Importer',
  filesHint: 'Le texte avec son histoire, et ces réglages. Jamais la clé.',
  stops: 'Séquences d’arrêt',
  chosenStops: 'Séquences d’arrêt choisies',
  removeStop: (stop) => `Retirer la séquence d’arrêt ${stop}`,
  stopPlaceholder: 'Tapez, puis Entrée',
  newlineHint: 'est un saut de ligne.',
  random: 'au hasard',
  off: 'aucun',
  echo: 'Écho',
  echoHint: 'Le serveur répète l’invite et dit combien chacun de ses tokens était probable.',
  reset: (label) => `Réinitialiser\u202f: ${label}`,
  slider: (label) => `Curseur\u202f: ${label}`,
}

export const parameterLabels: typeof english.parameterLabels = {
  max_tokens: 'Tokens au plus',
  temperature: 'Température',
  top_p: 'Top-p',
  top_k: 'Top-k',
  min_p: 'Min-p',
  seed: 'Graine',
  n: 'Réponses',
  logprobs: 'Logprobs',
  presence_penalty: 'Pénalité de présence',
  frequency_penalty: 'Pénalité de fréquence',
  repetition_penalty: 'Pénalité de répétition',
}

export const parameterHints: typeof english.parameterHints = {
  max_tokens: 'Longueur maximale de la réponse',
  temperature: '0 prend toujours le token le plus probable\u202f; plus haut, c’est plus libre',
  top_p: 'Ne tirer que parmi les tokens les plus probables qui, ensemble, font cette part',
  top_k: 'Ne tirer que parmi autant de tokens\u202f; 0 désactive',
  min_p: 'Écarter les tokens sous cette part du plus probable',
  seed: 'La même graine redonne le même texte\u202f; vide, c’est au hasard',
  n: 'Plusieurs réponses à la fois, gardées comme branches',
  logprobs: 'Combien d’autres choix montrer pour chaque token\u202f; vide désactive',
  presence_penalty: 'Rend moins probables les tokens déjà apparus',
  frequency_penalty: 'De même, et plus fort à chaque apparition',
  repetition_penalty: 'Divise le score des tokens déjà vus\u202f; 1 désactive',
}

export const keyWords: typeof english.keyWords = {
  label: 'Clé d’API',
  printed: 'Le serveur l’affiche à son démarrage.',
  asking: 'Demande des modèles…',
  noModel: 'Aucun modèle n’est proposé.',
  models: (count) => `${plural(count, 'modèle', 'modèles')} au choix.`,
  show: 'Montrer la clé',
  tryAgain: 'Réessayer',
  usage: 'Consommation',
  usageHint: 'Ce que cette clé a consommé, et ce qu’elle peut consommer',
  keep: 'Garder la clé\u202f:',
  memory: 'en mémoire',
  tab: 'dans cet onglet',
  device: 'sur cet appareil',
}

export const modelWords: typeof english.modelWords = {
  label: 'Modèle',
  ready: 'prêt',
  loading: 'en chargement',
  loadingFor: (seconds) => `en chargement, ${formatCount(seconds)} s`,
  available: 'non chargé',
  error: 'erreur',
  enterKey: 'Donnez la clé d’API pour voir les modèles',
  context: (tokens) => `Contexte\u202f: ${formatCount(tokens)} tokens.`,
}
