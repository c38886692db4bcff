/** What belongs to the page itself and is fetched after it. Its address holds its hash, so that it may come from the browser's cache. */

/** The JSON file at an address that the build gave. Throws where it cannot be fetched. */
export async function fetchAsset(url: string): Promise<unknown> {
  const response = await fetch(url, { credentials: 'omit' })
  if (!response.ok) throw new Error(`${url} gives HTTP ${response.status}`)
  return response.json()
}

/** Whether the page itself is served at this moment. */
export function isServed(): Promise<boolean> {
  return fetch('/', { method: 'HEAD', credentials: 'omit', cache: 'no-store' }).then(({ ok }) => ok, () => false)
}
