import { onScopeDispose, watch, type ShallowRef } from 'vue'

import { storeSaved } from '../document/store'
import { save } from '../document/transfer'
import type { DocumentTree } from '../document/tree'
import type { Settings } from '../settings/settings'

/** Saves at most this often, in milliseconds, and at once when the page goes out of sight. */
const EVERY_MS = 500

export function useAutosave(tree: ShallowRef<DocumentTree>, settings: Settings): void {
  let timer: ReturnType<typeof setTimeout> | undefined

  function saveNow(): void {
    clearTimeout(timer)
    timer = undefined
    void storeSaved(save(tree.value, settings, new Date()))
  }

  function saveIfPending(): void {
    if (timer !== undefined) saveNow()
  }

  function schedule(): void {
    timer ??= setTimeout(saveNow, EVERY_MS)
  }

  watch(tree, schedule)
  watch(settings, schedule)
  document.addEventListener('visibilitychange', saveIfPending)
  window.addEventListener('pagehide', saveIfPending)
  onScopeDispose(() => {
    clearTimeout(timer)
    document.removeEventListener('visibilitychange', saveIfPending)
    window.removeEventListener('pagehide', saveIfPending)
  })
}
