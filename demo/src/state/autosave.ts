import type { Signal } from '@preact/signals-core'

import { leaveBehind, storeSaved } from '../document/store'
import { save } from '../document/transfer'
import type { DocumentTree } from '../document/tree'
import type { Settings } from '../settings/settings'
import { watch } from './reactive'

/** Saves at most this often, in milliseconds, when the page has nothing else to do; at once when it goes out of sight. */
const EVERY_MS = 500
const MAX_PAUSE_MS = 5000
const PATIENCE_MS = 2000
/** A share of the time that saving may take: a long text is saved more seldom. */
const SHARE = 1 / 20

/** Calls `work` in a pause of the page; browsers without such a call get it at once. */
function whenIdle(work: () => void): void {
  if (typeof requestIdleCallback === 'undefined') work()
  else requestIdleCallback(work, { timeout: PATIENCE_MS })
}

export function autosave(tree: Signal<DocumentTree>, settings: Settings): void {
  let timer: ReturnType<typeof setTimeout> | undefined
  let pauseMs = EVERY_MS
  let storing = 0

  function saveNow(): void {
    clearTimeout(timer)
    timer = undefined
    const startMs = performance.now()
    storing += 1
    void storeSaved(save(tree.value, settings, new Date()))
      .then(() => {
        storing -= 1
        pauseMs = Math.min(MAX_PAUSE_MS, Math.max(EVERY_MS, (performance.now() - startMs) / SHARE))
      })
  }

  function saveIfPending(): void {
    if (timer !== undefined) saveNow()
  }

  function leave(): void {
    if (timer === undefined && storing === 0) return
    leaveBehind(save(tree.value, settings, new Date()))
    saveIfPending()
  }

  function schedule(): void {
    timer ??= setTimeout(() => whenIdle(saveIfPending), pauseMs)
  }

  watch(() => tree.value, schedule)
  watch(() => ({ ...settings }), schedule)
  document.addEventListener('visibilitychange', saveIfPending)
  window.addEventListener('pagehide', leave)
}
