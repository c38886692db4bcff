import { useSignal, type ReadonlySignal } from '@preact/signals'
import { effect } from '@preact/signals-core'
import { useLayoutEffect } from 'preact/hooks'

import { inBlocks, type Stretch } from '../document/blocks'
import type { DocumentNode } from '../document/tree'

/** A browser lays a line out anew as a whole; one of so many UTF-16 units takes it longer than a key may. */
const LONG_LINE_UNITS = 20_000
const PAUSE_MS = 250

/**
 * The text in blocks, as far as the last piece that a model wrote: beyond it there is nothing to tint. Where a change to them would
 * keep the one who types waiting they follow in a pause, and `areBehind` says so meanwhile.
 */
export function useTints(
  pieces: ReadonlySignal<readonly DocumentNode[]>, isRunning: ReadonlySignal<boolean>,
): { blocks: ReadonlySignal<Stretch[][]>; areBehind: ReadonlySignal<boolean> } {
  const blocks = useSignal<Stretch[][]>([])
  const areBehind = useSignal(false)

  useLayoutEffect(() => {
    let timer: ReturnType<typeof setTimeout> | undefined
    let before: readonly DocumentNode[] = []

    function show(tinted: Stretch[][]): void {
      blocks.value = tinted
      areBehind.value = false
    }

    const stop = effect(() => {
      const now = pieces.value.slice(0, pieces.value.findLastIndex(({ kind }) => kind === 'model') + 1)
      if (before.length === now.length && now.every((piece, at) => piece === before[at])) return
      before = now
      clearTimeout(timer)
      const tinted = inBlocks(now)
      const isLong = tinted.some((block) => block.reduce((units, { text }) => units + text.length, 0) > LONG_LINE_UNITS)
      areBehind.value = isLong && !isRunning.peek()
      if (areBehind.peek()) timer = setTimeout(show, PAUSE_MS, tinted)
      else show(tinted)
    })
    return () => {
      stop()
      clearTimeout(timer)
    }
  }, [])

  return { blocks, areBehind }
}
