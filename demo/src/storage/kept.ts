/** Short texts that the browser keeps for a tab or for the device. Where it forbids that, nothing is kept, and nothing is found. */

export type Place = 'tab' | 'device'

/** Throws where the browser forbids it. */
function storageOf(place: Place): Storage {
  return place === 'tab' ? sessionStorage : localStorage
}

export function readKept(place: Place, name: string): string | null {
  try {
    return storageOf(place).getItem(name)
  } catch {
    return null
  }
}

/** Keeps a text, or with null forgets it; false where there is no room or no permission. */
export function keep(place: Place, name: string, text: string | null): boolean {
  try {
    if (text === null) storageOf(place).removeItem(name)
    else storageOf(place).setItem(name, text)
    return true
  } catch {
    return false
  }
}
