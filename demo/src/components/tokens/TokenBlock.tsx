import { Fragment, type VNode } from 'preact'
import { useLayoutEffect, useRef } from 'preact/hooks'

import type { Fork } from '../../document/run'
import type { NodeId } from '../../document/tree'
import { tokens as t } from '../../i18n/tokens'
import type { Item } from '../../tokens/compose'
import { printedToken } from '../../tokens/printed'
import { formatPercent, probabilityOf, stepClass } from '../../tokens/probability'
import { ForkMark } from './ForkMark'

/** A block is drawn anew only when one of these is another. */
interface Props {
  items: readonly Item[]
  /** The place of the first item among all. */
  from: number
  isDrawn: boolean
  heightPx: number
  /** The token that Tab reaches, and the one whose bars are shown; -1 when neither is here. */
  stop: number
  shown: number
  forks: ReadonlyMap<number, Fork>
  /** Gives the way to end it. */
  watchBlock: (block: HTMLElement) => () => void
  onStep: (branch: NodeId) => void
}

function print(item: Item): string {
  return item.kind === 'next' ? '?' : item.token ? printedToken(item.token) : item.text
}

function labelOf(item: Item): string {
  if (item.kind === 'next') return t.next
  const logprob = item.token?.logprob ?? null
  return `${print(item)} ${logprob === null ? t.unknown : formatPercent(probabilityOf(logprob))}`
}

/** By the place in the text, not by number: a token that has the focus keeps it when the text before it gets tokens of its own. */
function keysOf(items: readonly Item[]): string[] {
  let [start, at] = [-1, 0]
  return items.map((item) => {
    at = item.start === start ? at + 1 : 0
    start = item.start
    return `${start}.${at}`
  })
}

function Tokens({ items, from, stop, shown, forks, onStep }: Props): VNode {
  const keys = keysOf(items)
  return <>
    {items.map((item, at) => {
      const place = from + at
      const fork = forks.get(place)
      return (
        <Fragment key={keys[at]}>
          {fork && <ForkMark fork={fork} isSmall onStep={onStep} />}
          {item.token
            ? (
                <span
                  class={item.kind === 'next' ? 'token next' : `token ${stepClass(item.token.logprob)}`} role="button" aria-roledescription={t.token} aria-label={labelOf(item)}
                  aria-current={shown === place || undefined} data-at={place} tabIndex={stop === place ? 0 : -1}>{print(item)}</span>
              )
            : <span class="plain-text">{item.text}</span>}
          {item.token && item.text.includes('\n') && <br />}
        </Fragment>
      )
    })}
  </>
}

/** A stretch of the token view; away from the window it is only as high as it would be. */
export function TokenBlock(props: Props): VNode {
  const block = useRef<HTMLDivElement>(null)
  useLayoutEffect(() => (block.current ? props.watchBlock(block.current) : undefined), [])
  return <div ref={block} data-from={props.from} style={props.isDrawn ? '' : `height: ${props.heightPx}px`}>{props.isDrawn && <Tokens {...props} />}</div>
}
