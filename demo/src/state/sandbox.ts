import { computed, signal, type ReadonlySignal, type Signal } from '@preact/signals-core'

import type { Restored } from '../document/transfer'
import { Sessions } from '../sessions/sessions'
import { createOwnPresets, type OwnPresets } from '../settings/ownPresets'
import { initialSettings, type Settings } from '../settings/settings'
import { followSharedLinks } from '../share/sharedLink'
import { createKey, type KeyPlace } from './apiKey'
import { autosave } from './autosave'
import { Generation } from './generation'
import { ModelList } from './models'
import { observed } from './reactive'
import { createDocument, type SandboxDocument } from './sandboxDocument'

export const TABS = ['Write', 'Tokens', 'Tree', 'Compare', 'Code'] as const
export type Tab = (typeof TABS)[number]

/** All state of the page that outlasts a look at it; it lives as long as the page. Knows nothing of how it is shown. */
export interface Sandbox {
  document: SandboxDocument
  /** Each field is a signal to whoever reads it. */
  settings: Settings
  run: Generation
  models: ModelList
  sessions: Sessions
  ownPresets: OwnPresets
  key: Signal<string>
  keyPlace: Signal<KeyPlace>
  tab: Signal<Tab>
  /** What is typed into the field of stop sequences and not yet one of them. */
  stopDraft: Signal<string>
  /** The fields beyond OpenAI's that the chosen model takes; null when it does not say. */
  capabilities: ReadonlySignal<readonly string[] | null>
}

export function createSandbox(saved: Restored | null): Sandbox {
  const settings = observed(saved?.settings ?? initialSettings())
  const document = createDocument(saved?.tree ?? null)
  const { key, place: keyPlace } = createKey()
  const models = new ModelList(key, { get value() { return settings.model }, set value(id) { settings.model = id } })
  const capabilities = computed(() => models.current.value?.capabilities ?? null)
  const run = new Generation({ document, settings, key, capabilities: () => capabilities.value, onModelNews })

  /** A run shows whether its model is there; the picker should say so, too. */
  function onModelNews(): void {
    if (models.current.value?.status !== 'ready' || run.failure.value?.status === 503) void models.refresh()
  }

  autosave(document.tree, settings)
  const sessions = new Sessions({ document, settings, run, models })
  followSharedLinks({ document, settings, run, models }, sessions)
  return {
    document, settings, run, models, sessions, ownPresets: createOwnPresets(), key, keyPlace, tab: signal<Tab>('Write'), stopDraft: signal(''), capabilities,
  }
}
