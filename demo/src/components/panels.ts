import type { ComponentType } from 'preact'

export type PartView = ComponentType<{ onClose: () => void }>

/** The panels beside Write, and the dialogs: fetched after the page, so that it can be written on before they are there. */
const fetchAll = (): Promise<Record<Part, PartView>> => import('./later')

export type Part = keyof typeof import('./later')

/** Rejects where it cannot be fetched: the network is gone, or the server has another build of the page by now. */
export async function fetchPart(part: Part): Promise<PartView> {
  return (await fetchAll())[part]
}

/** After this long the page has surely opened, for browsers that do not tell when they are idle. */
const OPENED_MS = 1000

/** Fetches all of them in a pause of the page: a tab then opens at once, also when the server has gone meanwhile. */
export function fetchParts(): void {
  // What fails here is tried again, and told, when a part is opened.
  const fetchEarly = (): void => { fetchAll().catch(() => undefined) }
  if ('requestIdleCallback' in window) requestIdleCallback(fetchEarly, { timeout: OPENED_MS })
  else setTimeout(fetchEarly, OPENED_MS)
}
