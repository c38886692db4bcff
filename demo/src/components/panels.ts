import type { Component } from 'vue'

/** The panels beside Write, and the dialogs: fetched after the page, so that it can be written on before they are there. */
const FETCH = {
  Tokens: () => import('./TokenPanel.vue'),
  Tree: () => import('./TreePanel.vue'),
  Compare: () => import('./ComparePanel.vue'),
  Code: () => import('./CodePanel.vue'),
  Help: () => import('./HelpDialog.vue'),
  Share: () => import('./ShareDialog.vue'),
  Usage: () => import('./UsageDialog.vue'),
} satisfies Record<string, () => Promise<{ default: Component }>>

export type Part = keyof typeof FETCH

/** Rejects where it cannot be fetched: the network is gone, or the server has another build of the page by now. */
export async function fetchPart(part: Part): Promise<Component> {
  return (await FETCH[part]()).default
}

/** After this long the page has surely opened, for browsers that do not tell when they are idle. */
const OPENED_MS = 1000

/** Fetches all of them in a pause of the page: a tab then opens at once, also when the server has gone meanwhile. */
export function fetchParts(): void {
  // All are in one file. What fails here is tried again, and told, when the part is opened.
  const fetchAll = (): void => { fetchPart('Help').catch(() => undefined) }
  if ('requestIdleCallback' in window) requestIdleCallback(fetchAll, { timeout: OPENED_MS })
  else setTimeout(fetchAll, OPENED_MS)
}
