import { onBeforeUnmount, onMounted, shallowReactive, type Ref } from 'vue'

import type { Chunk } from './chunks'
import type { Item } from './compose'

/** How far beyond the window blocks are drawn. */
const MARGIN = '500px 0px'
/** A guess of how much height a character takes in a block not yet drawn. */
const GUESS_PX = 0.6

function charactersIn(items: readonly Item[], { from, to }: Chunk): number {
  let count = 0
  for (let at = from; at < to; at += 1) count += (items[at]?.text.length ?? 0) + (items[at]?.token ? 2 : 0)
  return count
}

export interface DrawnBlocks {
  /** The blocks in or near the window, by their first items. */
  near: ReadonlySet<number>
  watchBlock: (block: HTMLElement, isThere: boolean) => void
  heightOf: (items: readonly Item[], chunk: Chunk) => number
}

/** Which blocks of a long text are to be drawn: those near the window of the scrolling `root`. The others keep the height they had. */
export function useDrawnBlocks(root: Readonly<Ref<HTMLElement | undefined>>): DrawnBlocks {
  const near = shallowReactive(new Set<number>())
  const heights = new Map<number, number>()
  const waiting = new Set<HTMLElement>()
  let observer: IntersectionObserver | null = null

  function onCross(entries: IntersectionObserverEntry[]): void {
    for (const { target, isIntersecting, boundingClientRect } of entries) {
      const from = Number((target as HTMLElement).dataset.from)
      if (isIntersecting) near.add(from)
      else {
        if (near.has(from)) heights.set(from, boundingClientRect.height)
        near.delete(from)
      }
    }
  }

  onMounted(() => {
    observer = new IntersectionObserver(onCross, { root: root.value, rootMargin: MARGIN })
    for (const block of waiting) observer.observe(block)
    waiting.clear()
  })
  onBeforeUnmount(() => observer?.disconnect())

  function watchBlock(block: HTMLElement, isThere: boolean): void {
    if (!isThere) {
      observer?.unobserve(block)
      near.delete(Number(block.dataset.from))
    } else if (observer) observer.observe(block)
    else waiting.add(block) // children are mounted before their parent
  }

  return { near, watchBlock, heightOf: (items, chunk) => heights.get(chunk.from) ?? charactersIn(items, chunk) * GUESS_PX }
}
