import { ref, watch, type Ref } from 'vue'

/** Where the API key is kept: gone with the page, with the tab, or never. */
export type KeyPlace = 'memory' | 'tab' | 'device'

export interface ApiKey {
  key: Ref<string>
  place: Ref<KeyPlace>
}

const NAME = 'sandle.key'

/** The storage of a place; null where there is none or the browser forbids it. */
function storageOf(place: KeyPlace): Storage | null {
  try {
    if (place === 'tab') return sessionStorage
    if (place === 'device') return localStorage
  } catch {
    // Storage is forbidden: the key stays in memory.
  }
  return null
}

function write(place: KeyPlace, key: string): void {
  for (const each of ['tab', 'device'] as const) {
    try {
      if (each === place && key !== '') storageOf(each)?.setItem(NAME, key)
      else storageOf(each)?.removeItem(NAME)
    } catch {
      // Full or forbidden: the key stays in memory.
    }
  }
}

export function useKey(): ApiKey {
  const found = (['tab', 'device'] as const).find((place) => storageOf(place)?.getItem(NAME))
  const key = ref(found ? (storageOf(found)?.getItem(NAME) ?? '') : '')
  const place = ref<KeyPlace>(found ?? 'memory')
  watch([key, place], () => write(place.value, key.value))
  return { key, place }
}
