import { formatCount } from '../catalogue'
import type * as english from '../share'

export const shareWords: typeof english.shareWords = {
  share: 'Partager',
  shareHint: 'Un lien vers ce texte et ces réglages',
  title: 'Un lien vers ce texte',
  explanation: 'Il contient le texte tel qu’il est, les réglages et le nom du modèle. Jamais la clé. Aucun serveur ne le voit\u202f: le texte voyage dans le lien même.',
  link: 'Lien',
  copy: 'Copier le lien',
  copied: 'Le lien est dans le presse-papiers.',
  selectIt: 'Sélectionnez le lien pour le copier.',
  length: (letters) => `Longueur\u202f: ${formatCount(letters)} caractères.`,
  long: 'Certains programmes coupent les liens aussi longs. Exporter un fichier est plus sûr.',
  tooLarge: 'Le texte est trop grand pour un lien. Exportez-le plutôt dans un fichier.',
  making: 'Préparation du lien…',
  opened: 'Ouvert depuis le lien',
  unknownModel: (id) => `Le modèle ${id} du lien n’est pas ici\u202f; le vôtre reste.`,
  broken: 'Le lien est abîmé ou incomplet\u202f: rien n’a été ouvert, et votre texte est tel qu’il était.',
  tooLargeToOpen: 'Le lien contient plus que cette page n’ouvre. Votre texte est tel qu’il était.',
}
