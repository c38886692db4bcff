import { catalogue } from './catalogue'

/** The documents in this browser. */
export const sessionWords = catalogue('sessionWords', {
  session: 'Session',
  untitled: 'Untitled',
  new: 'New',
  newHint: 'Begin another text; this one is kept',
  rename: 'Rename',
  delete: 'Delete',
  name: 'Name of the session',
  save: 'Save',
  cancel: 'Cancel',
  deleted: (name: string) => `“${name}” deleted`,
  undoDelete: 'Restore',
  beside: (name: string) => `This text was also changed in another tab; what stands here is kept as “${name}”`,
  unreadable: 'This session cannot be read.',
  unsaved: 'This browser does not keep sessions here. Export the text to keep it.',
})
