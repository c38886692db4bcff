import { catalogue } from './catalogue'

/** Links that carry a text. */
export const shareWords = catalogue('shareWords', {
  share: 'Share',
  shareHint: 'A link to this text and these settings',
  title: 'A link to this text',
  explanation: 'It holds the text as it stands now, the settings and the model’s name. Never the key. No server sees it: the text travels in the link itself.',
  link: 'Link',
  copy: 'Copy link',
  copied: 'The link is in the clipboard.',
  selectIt: 'Select the link to copy it.',
  length: '{0} characters long.',
  long: 'Some programs cut links as long as this one. Exporting a file is safer.',
  tooLarge: 'The text is too large for a link. Export it as a file instead.',
  making: 'Making the link…',
  opened: 'Opened from the link',
  unknownModel: 'The link’s model {0} is not here; yours stays.',
  broken: 'The link is damaged or incomplete: nothing was opened, and your text is as it was.',
  tooLargeToOpen: 'The link holds more than this page opens. Your text is as it was.',
})
