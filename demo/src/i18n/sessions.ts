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
  deleted: '“{0}” deleted',
  undoDelete: 'Restore',
  beside: 'This text was also changed in another tab; what stands here is kept as “{0}”',
  unreadable: 'This session cannot be read.',
  unsaved: 'This browser does not keep sessions here. Export the text to keep it.',
})
