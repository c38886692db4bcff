import { onScopeDispose, ref, shallowRef, watch, type Ref, type ShallowRef } from 'vue'

import { inBlocks, type Stretch } from '../document/blocks'
import type { DocumentNode } from '../document/tree'

/** A browser lays a line out anew as a whole; one of so many UTF-16 units takes it longer than a key may. */
const LONG_LINE_UNITS = 20_000
const PAUSE_MS = 250

/**
 * The text in blocks, as far as the last piece that a model wrote: beyond it there is nothing to tint. Where a change to them would
 * keep the one who types waiting they follow in a pause, and `areBehind` says so meanwhile.
 */
export function useTints(pieces: () => readonly DocumentNode[], isRunning: () => boolean): { blocks: ShallowRef<Stretch[][]>; areBehind: Ref<boolean> } {
  const blocks = shallowRef<Stretch[][]>([])
  const areBehind = ref(false)
  let timer: ReturnType<typeof setTimeout> | undefined

  function show(tinted: Stretch[][]): void {
    blocks.value = tinted
    areBehind.value = false
  }

  watch(() => pieces().slice(0, pieces().findLastIndex(({ kind }) => kind === 'model') + 1), (now, before) => {
    if (before?.length === now.length && now.every((piece, at) => piece === before[at])) return
    clearTimeout(timer)
    const tinted = inBlocks(now)
    const isLong = tinted.some((block) => block.reduce((units, { text }) => units + text.length, 0) > LONG_LINE_UNITS)
    areBehind.value = isLong && !isRunning()
    if (areBehind.value) timer = setTimeout(show, PAUSE_MS, tinted)
    else show(tinted)
  }, { immediate: true })

  onScopeDispose(() => clearTimeout(timer))
  return { blocks, areBehind }
}
