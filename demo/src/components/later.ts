/** The panels beside Write, and the dialogs, by their names: one file, fetched after the page, which compresses better than several. */
export { ChatDialog as Chat } from './ChatDialog'
export { CodePanel as Code } from './CodePanel'
export { ComparePanel as Compare } from './ComparePanel'
export { HelpDialog as Help } from './HelpDialog'
export { ShareDialog as Share } from './ShareDialog'
export { TokenPanel as Tokens } from './TokenPanel'
export { TreePanel as Tree } from './TreePanel'
export { UsageDialog as Usage } from './UsageDialog'
