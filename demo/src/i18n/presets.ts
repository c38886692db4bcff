import { catalogue } from './catalogue'

export const presetNames = catalogue('presetNames', {
  classic: 'Classic Sandle',
  story: 'Story',
  likely: 'Most likely words',
  classify: 'Classification by examples',
  translate: 'Translation by examples',
  blank: 'Blank page',
})

export const presetWords = catalogue('presetWords', {
  preset: 'Preset',
  custom: 'Custom',
  yours: 'Yours',
  saveAs: 'Save as preset…',
  delete: 'Delete preset',
  name: 'Name of the preset',
  save: 'Save',
  replace: 'Replace',
  cancel: 'Cancel',
  notKept: 'This browser has no room for it: the preset lasts until the page is left.',
})
