import { defineAsyncComponent, type Component } from 'vue'

/** The panels beside Write, and the dialogs: each is a file of its own, so that the page can be written on before they are there. */
const FETCH = {
  Tokens: () => import('./TokenPanel.vue'),
  Tree: () => import('./TreePanel.vue'),
  Compare: () => import('./ComparePanel.vue'),
  Code: () => import('./CodePanel.vue'),
  Help: () => import('./HelpDialog.vue'),
  Share: () => import('./ShareDialog.vue'),
} satisfies Record<string, () => Promise<{ default: Component }>>

export const TokenPanel = defineAsyncComponent(FETCH.Tokens)
export const TreePanel = defineAsyncComponent(FETCH.Tree)
export const ComparePanel = defineAsyncComponent(FETCH.Compare)
export const CodePanel = defineAsyncComponent(FETCH.Code)
export const HelpDialog = defineAsyncComponent(FETCH.Help)
export const ShareDialog = defineAsyncComponent(FETCH.Share)

/** After this long the page has surely opened, for browsers that do not tell when they are idle. */
const OPENED_MS = 1000

/** Fetches all of them in a pause of the page: a tab then opens at once, also when the server has gone meanwhile. */
export function fetchPanels(): void {
  // What fails here is tried again, and told, when the tab is opened.
  const fetchAll = (): void => { for (const fetchOne of Object.values(FETCH)) fetchOne().catch(() => undefined) }
  if ('requestIdleCallback' in window) requestIdleCallback(fetchAll, { timeout: OPENED_MS })
  else setTimeout(fetchAll, OPENED_MS)
}
