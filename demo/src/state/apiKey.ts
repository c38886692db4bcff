import { effect, signal, type Signal } from '@preact/signals-core'

import { keep, readKept, type Place } from '../storage/kept'

/** Where the API key is kept: gone with the page, with the tab, or never. */
export type KeyPlace = 'memory' | Place

export interface ApiKey {
  key: Signal<string>
  place: Signal<KeyPlace>
}

const NAME = 'sandle.key'
const KEPT: readonly Place[] = ['tab', 'device']

export function createKey(): ApiKey {
  const found = KEPT.find((place) => readKept(place, NAME))
  const key = signal(found ? (readKept(found, NAME) ?? '') : '')
  const place = signal<KeyPlace>(found ?? 'memory')
  effect(() => {
    for (const each of KEPT) keep(each, NAME, each === place.value && key.value !== '' ? key.value : null)
  })
  return { key, place }
}
