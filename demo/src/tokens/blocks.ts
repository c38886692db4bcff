import { signal } from '@preact/signals-core'

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

/** Which blocks of a long text are to be drawn: those near the window of the scrolling element. The others keep the height they had. */
export class DrawnBlocks {
  /** The blocks in or near the window, by their first items. */
  readonly near = signal<ReadonlySet<number>>(new Set())
  private readonly heights = new Map<number, number>()
  private readonly waiting = new Set<HTMLElement>()
  private observer: IntersectionObserver | null = null

  /** From now on, in this scrolling element. Gives the way to end it. */
  start(root: HTMLElement): () => void {
    const observer = new IntersectionObserver((entries) => this.onCross(entries), { root, rootMargin: MARGIN })
    this.observer = observer
    for (const block of this.waiting) observer.observe(block)
    this.waiting.clear()
    return () => observer.disconnect()
  }

  /** Blocks come before the element that they scroll in has started. Gives the way to end it. */
  readonly watchBlock = (block: HTMLElement): (() => void) => {
    if (this.observer) this.observer.observe(block)
    else this.waiting.add(block)
    return () => {
      this.observer?.unobserve(block)
      this.change([], [Number(block.dataset.from)])
    }
  }

  heightOf(items: readonly Item[], chunk: Chunk): number {
    return this.heights.get(chunk.from) ?? charactersIn(items, chunk) * GUESS_PX
  }

  private onCross(entries: readonly IntersectionObserverEntry[]): void {
    const [come, gone]: [number[], number[]] = [[], []]
    for (const { target, isIntersecting, boundingClientRect } of entries) {
      const from = Number((target as HTMLElement).dataset.from)
      if (!isIntersecting && this.near.value.has(from)) this.heights.set(from, boundingClientRect.height)
      ;(isIntersecting ? come : gone).push(from)
    }
    this.change(come, gone)
  }

  private change(come: readonly number[], gone: readonly number[]): void {
    const near = new Set([...this.near.peek(), ...come])
    for (const from of gone) near.delete(from)
    this.near.value = near
  }
}
