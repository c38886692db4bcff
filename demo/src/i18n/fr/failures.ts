import type * as english from '../failures'

export const failures: typeof english.failures = {
  badKey: 'La clé d’API contient un caractère qu’aucune clé ne peut contenir.',
  offline: 'Le serveur est injoignable\u202f: il est arrêté, ou vous êtes hors ligne.',
  noReason: (status) => `Le serveur a répondu ${status}, sans dire pourquoi.`,
  noReasonAtAll: 'Le serveur n’a pas dit pourquoi.',
  badModels: 'La liste des modèles du serveur n’est pas comprise.',
  notCompletion: 'La réponse du serveur n’est pas une suite de texte.',
  badEvent: 'Le serveur a envoyé un événement qui n’est pas du JSON.',
  interrupted: 'Interrompu\u202f; le texte déjà reçu est gardé. Continuer\u202f?',
  unfetched: 'Cette partie de la page n’a pas pu être chargée. Rechargez la page\u202f: votre texte est gardé.',
  requestId: (id) => `requête ${id}`,
  again: (seconds) => `Nouvel essai dans ${seconds} s`,
  continue: 'Continuer',
  retry: 'Réessayer',
  reload: 'Recharger la page',
  dismiss: 'Fermer',
}

export const advice: typeof english.advice = {
  401: 'Vérifiez la clé d’API\u202f: le serveur l’écrit dans son journal au démarrage.',
  403: 'Cette clé n’a pas droit à ce modèle. Choisissez-en un autre, ou demandez une clé qui y a droit.',
  404: 'Choisissez un autre modèle.',
  413: 'La requête est trop grande. Raccourcissez l’invite.',
  429: 'Trop de requêtes à la fois. Attendez un peu, puis réessayez.',
  502: 'Le serveur du modèle est injoignable. Peut-être redémarre-t-il\u202f: réessayez dans un instant.',
  504: 'Le modèle n’a pas répondu à temps. Demandez moins de tokens, ou réessayez.',
  offline: 'Vérifiez la connexion, puis réessayez.',
  resume: 'Continuez à partir d’ici, ou réessayez depuis le point de départ.',
  soon: 'Réessayez dans un instant.',
  tooLong: 'Raccourcissez l’invite, ou baissez le maximum de tokens.',
  tooMany: (seconds) => `Trop de requêtes à la fois. Réessayez dans ${seconds} s.`,
  waits: 'La page redemande d’elle-même.',
  broken: 'Quelque chose a cassé sur le serveur. Le numéro de la requête aide à le retrouver dans le journal.',
}
