import { signal, type Signal } from '@preact/signals-core'

import { keep, readKept } from '../storage/kept'
import type { Preset } from './presets'
import { readSettings } from './settings'

/** Presets that the reader has saved, by name, in this browser's localStorage. They hold no model and never a key. */

const STORAGE_KEY = 'sandle.presets'

export interface OwnPreset extends Preset {
  name: string
}

export const MAX_NAME = 60

function readPreset(value: unknown): OwnPreset[] {
  if (typeof value !== 'object' || value === null) return []
  const { name, text, settings } = value as Record<string, unknown>
  if (typeof name !== 'string' || name.trim() === '' || typeof text !== 'string') return []
  return [{ name: name.slice(0, MAX_NAME), text, settings: { ...readSettings(settings), model: '' } }]
}

/** What is stored, as far as it is understood; the first of each name counts. */
export function readPresets(stored: string | null): OwnPreset[] {
  let value: unknown
  try {
    value = JSON.parse(stored ?? '[]')
  } catch {
    return []
  }
  const found = Array.isArray(value) ? value.flatMap(readPreset) : []
  return found.filter(({ name }, at) => found.findIndex((each) => each.name === name) === at)
}

/** With `preset` among them, in the place of one of its name if there is one. */
export function withPreset(presets: readonly OwnPreset[], preset: OwnPreset): OwnPreset[] {
  const at = presets.findIndex(({ name }) => name === preset.name)
  return at < 0 ? [...presets, preset] : presets.with(at, preset)
}

export interface OwnPresets {
  list: Signal<readonly OwnPreset[]>
  /** False where the browser has no room or forbids it: the preset lasts as long as the page. */
  keep: (preset: OwnPreset) => boolean
  remove: (name: string) => void
}

/** Follows what other tabs save. */
export function createOwnPresets(): OwnPresets {
  const list = signal<readonly OwnPreset[]>(readPresets(readKept('device', STORAGE_KEY)))

  function write(presets: readonly OwnPreset[]): boolean {
    list.value = presets
    return keep('device', STORAGE_KEY, JSON.stringify(presets))
  }

  function onStorage(event: StorageEvent): void {
    if (event.key === STORAGE_KEY) list.value = readPresets(event.newValue)
  }

  window.addEventListener('storage', onStorage)
  return {
    list,
    keep: (preset) => write(withPreset(list.value, { ...preset, settings: { ...preset.settings, model: '' } })),
    remove: (name) => { write(list.value.filter((each) => each.name !== name)) },
  }
}
