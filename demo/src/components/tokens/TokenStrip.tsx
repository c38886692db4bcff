import { useSignal } from '@preact/signals'
import type { TargetedKeyboardEvent, VNode } from 'preact'
import { useLayoutEffect, useMemo, useRef } from 'preact/hooks'

import type { Fork } from '../../document/run'
import type { Alternative, NodeId } from '../../document/tree'
import { tokens as t } from '../../i18n/tokens'
import { DrawnBlocks } from '../../tokens/blocks'
import { chunkAt, chunksOf } from '../../tokens/chunks'
import type { Item } from '../../tokens/compose'
import { nearestToken, placeIn, stepFrom } from '../../tokens/steps'
import { rendered } from '../rendered'
import { focusFirstBar, TokenBars } from './TokenBars'
import { TokenBlock } from './TokenBlock'

interface Props {
  items: readonly Item[]
  forks: ReadonlyMap<number, Fork>
  label: string
  barsLabel: string
  canTake: boolean
  isBusy: boolean
  /** Grows whenever what may come next, the item after the last token, is to be shown. */
  endsShown?: number
  onTake: (item: number, alternative: Alternative) => void
  onStep: (branch: NodeId) => void
}

function itemOf(target: EventTarget | null): number {
  const token = target instanceof Element ? target.closest<HTMLElement>('.token') : null
  return token ? Number(token.dataset.at) : -1
}

function inBlock(item: number, { from, to }: { from: number; to: number }): number {
  return item >= from && item < to ? item : -1
}

/** "Token 3 of 40". */
function positionOf(items: readonly Item[], shown: number): string {
  const before = items.slice(0, shown + 1).reduce((count, { token }) => count + (token ? 1 : 0), 0)
  return t.position(before, items.reduce((count, { kind }) => count + (kind === 'plain' || kind === 'next' ? 0 : 1), 0))
}

/**
 * A text as tokens, with the bars of one of them beside it: the one that has the focus or was clicked, or the one under the
 * pointer. One stop for Tab; the arrows move from there.
 */
export function TokenStrip({ items, forks, label, barsLabel, canTake, isBusy, endsShown = 0, onTake, onStep }: Props): VNode {
  const strip = useRef<HTMLDivElement>(null)
  const drawn = useMemo(() => new DrawnBlocks(), [])
  /** The token that was focused last, and the one under the pointer; -1 for none. */
  const active = useSignal(-1)
  const hovered = useSignal(-1)
  const blocks = useMemo(() => chunksOf(items).map((chunk) => ({ ...chunk, items: items.slice(chunk.from, chunk.to) })), [items])

  // The text has new items: the token that was looked at is found again, before it is drawn.
  const before = useRef(items)
  const refocus = useRef<'never' | 'if lost' | 'always'>('never')
  if (before.current !== items) {
    const place = placeIn(items, active.peek(), before.current[active.peek()])
    if (strip.current?.contains(document.activeElement)) refocus.current = place === active.peek() ? 'if lost' : 'always'
    active.value = place
    hovered.value = placeIn(items, hovered.peek(), before.current[hovered.peek()])
    before.current = items
  }

  const stop = nearestToken(items, Math.max(0, active.value))
  const shown = nearestToken(items, hovered.value >= 0 ? hovered.value : active.value)
  const stopBlock = chunkAt(blocks, stop) // always drawn

  function focusActive(): void {
    strip.current?.querySelector<HTMLElement>(`[data-at="${active.value}"]`)?.focus()
  }

  function focusItem(item: number): void {
    active.value = nearestToken(items, item)
    hovered.value = -1
    void rendered().then(focusActive)
  }

  useLayoutEffect(() => (strip.current ? drawn.start(strip.current) : undefined), [])
  useLayoutEffect(() => {
    if (refocus.current === 'always' || (refocus.current === 'if lost' && !strip.current?.contains(document.activeElement))) focusActive()
    refocus.current = 'never'
  }, [items])
  useLayoutEffect(() => {
    if (endsShown === 0) return
    active.value = items.length - 1
    hovered.value = -1
    void rendered().then(() => strip.current?.scrollTo({ top: strip.current.scrollHeight }))
  }, [endsShown])

  function onFocus(event: Event): void {
    const item = itemOf(event.target)
    if (item < 0) return
    active.value = item
    hovered.value = -1
  }

  function onHover(event: PointerEvent): void {
    if (event.pointerType === 'touch' || document.activeElement?.closest('.token-bars')) return
    const item = itemOf(event.target)
    if (item >= 0) hovered.value = item
  }

  /** The pointer on its way to the bars finds those of the token that was clicked or, when none was, of the last one it met. */
  function onLeave(): void {
    if (active.value < 0) active.value = hovered.value
    hovered.value = -1
  }

  function onKeyDown(event: TargetedKeyboardEvent<HTMLElement>): void {
    const item = itemOf(event.target)
    if (item < 0 || event.altKey || event.metaKey || event.shiftKey) return
    hovered.value = -1
    if (event.key === 'ArrowDown' && !event.ctrlKey) {
      if (!event.currentTarget.parentElement || !focusFirstBar(event.currentTarget.parentElement)) return
    } else if (event.key !== 'Enter' && event.key !== ' ') {
      const next = stepFrom(items, item, event.key, event.ctrlKey)
      if (next === null) return
      focusItem(next)
    } else if (event.ctrlKey) return
    event.preventDefault()
  }

  /** The new branch begins where the old token stood. */
  function take(alternative: Alternative): void {
    focusItem(shown)
    onTake(shown, alternative)
  }

  return (
    <div class="token-view">
      <div ref={strip} class="token-strip" role="group" aria-label={label} onFocusIn={onFocus} onClick={onFocus} onPointerOver={onHover} onPointerLeave={onLeave} onKeyDown={onKeyDown}>
        {blocks.map((block, at) => (
          <TokenBlock
            key={block.from} items={block.items} from={block.from} isDrawn={drawn.near.value.has(block.from) || at === stopBlock} heightPx={drawn.heightOf(items, block)}
            stop={inBlock(stop, block)} shown={inBlock(shown, block)} forks={forks} watchBlock={drawn.watchBlock} onStep={onStep} />
        ))}
      </div>
      {stop >= 0 && (
        <TokenBars
          label={barsLabel} item={items[shown] ?? null} position={positionOf(items, shown)} fork={forks.get(shown) ?? null} canTake={canTake} isBusy={isBusy} onTake={take}
          onLeave={() => focusItem(shown)} onStep={onStep} />
      )}
    </div>
  )
}
