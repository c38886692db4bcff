import { inject, type ComputedRef, type InjectionKey, type Ref } from 'vue'

import type { Settings } from '../settings/settings'
import type { Generation } from './generation'
import type { ModelList } from './models'
import type { SandboxDocument } from './useDocument'

export const TABS = ['Write', 'Tokens', 'Tree', 'Compare', 'Code'] as const
export type Tab = (typeof TABS)[number]

/** What every panel works on; made by App.vue, the composition root, and provided under `SANDBOX`. */
export interface Sandbox {
  document: SandboxDocument
  settings: Settings
  run: Generation
  models: ModelList
  key: Ref<string>
  tab: Ref<Tab>
  /** The fields beyond OpenAI's that the chosen model takes; null when it does not say. */
  capabilities: ComputedRef<readonly string[] | null>
}

export const SANDBOX: InjectionKey<Sandbox> = Symbol('sandbox')

/** For a component below App.vue; throws elsewhere. */
export function useSandbox(): Sandbox {
  const sandbox = inject(SANDBOX)
  if (!sandbox) throw new Error('There is no sandbox above this component')
  return sandbox
}
