import type { TargetedKeyboardEvent, VNode } from 'preact'

import type { Fork } from '../../document/run'
import type { Alternative, NodeId } from '../../document/tree'
import { tokens as t } from '../../i18n/tokens'
import { barsOf, shareOf, type Bar } from '../../tokens/bars'
import type { Item } from '../../tokens/compose'
import { printed, printedToken } from '../../tokens/printed'
import { formatLogprob, formatPercent, probabilityOf } from '../../tokens/probability'
import { classes } from '../classes'
import { ForkMark } from './ForkMark'

interface Props {
  label: string
  item: Item | null
  /** "Token 3 of 40". */
  position: string
  fork: Fork | null
  canTake: boolean
  isBusy: boolean
  onTake: (alternative: Alternative) => void
  onLeave: () => void
  onStep: (branch: NodeId) => void
}

function alternativesIn(element: Element): HTMLButtonElement[] {
  return [...element.querySelectorAll<HTMLButtonElement>('.token-bars li button')]
}

/** Brings the focus to the likeliest alternative in the bars below `element`; false when there is none to take. */
export function focusFirstBar(element: Element): boolean {
  const [first] = alternativesIn(element)
  first?.focus()
  return first !== undefined
}

/** A line with its bar; a button where one can go on with it. */
function BarLine({ bar, onTake, isBusy }: { bar: Bar; isBusy: boolean; onTake: (() => void) | null }): VNode {
  const inside = <>
    <span class="bar-fill" style={{ width: `${bar.probability * 100}%` }} />
    <bdi class="printed">{printed(bar.alternative.text)}</bdi>{' '}
    {bar.isChosen && <span class="tick"><span aria-hidden="true">✓</span><span class="sr-only">{t.chosen}</span></span>}{' '}
    <span class="percent">{formatPercent(bar.probability)}</span> <span class="logprob">{formatLogprob(bar.alternative.logprob)}</span>
  </>
  const name = classes('bar-line', bar.isChosen && 'chosen')
  return onTake ? <button type="button" class={name} aria-disabled={isBusy || undefined} onClick={onTake}>{inside}</button> : <div class={name}>{inside}</div>
}

/** What the model might have written in a place, each with its probability as a bar. */
export function TokenBars({ label, item, position, fork, canTake, isBusy, onTake, onLeave, onStep }: Props): VNode {
  const token = item?.token
  if (!token) return <section class="token-bars" aria-label={label}><p class="hint">{t.choose}</p></section>
  const isNext = item.kind === 'next'
  const bars = barsOf(token, !isNext)
  const isOpen = (bar: Bar): boolean => canTake && bar.canTake && !bar.isChosen
  const { logprob } = token

  function onKeyDown(event: TargetedKeyboardEvent<HTMLElement>): void {
    if (event.ctrlKey || event.metaKey || event.altKey) return
    const all = alternativesIn(event.currentTarget)
    const at = all.indexOf(document.activeElement as HTMLButtonElement)
    if (event.key === 'Escape' || (event.key === 'ArrowUp' && at === 0)) onLeave()
    else if (at >= 0 && event.key === 'ArrowUp') all[at - 1]?.focus()
    else if (at >= 0 && event.key === 'ArrowDown') all[at + 1]?.focus()
    else return
    event.preventDefault()
  }

  return (
    <section class="token-bars" aria-label={label} onKeyDown={onKeyDown}>
      <p class="hint">{isNext ? t.next : position}</p>
      {!isNext && (
        <p class="headline">
          <span class="sr-only">{t.token}</span> <bdi class="printed">{printedToken(token)}</bdi> {logprob !== null && <span class="percent">{formatPercent(probabilityOf(logprob))}</span>}
        </p>
      )}
      {logprob !== null && !isNext && <p class="hint">{token.id === null ? t.logprob(formatLogprob(logprob)) : t.logprobAndId(formatLogprob(logprob), String(token.id))}</p>}
      {fork && <ForkMark fork={fork} onStep={onStep} />}
      {bars.length === 0 ? <p class="hint">{logprob === null ? t.firstToken : t.unscored}</p> : <>
        <ul>
          {bars.map((bar, at) => <li key={at}><BarLine bar={bar} isBusy={isBusy} onTake={isOpen(bar) ? () => { if (!isBusy) onTake(bar.alternative) } : null} /></li>)}
        </ul>
        <p class="hint">{bars.length === 1 ? t.coveredByOne(formatPercent(shareOf(bars))) : t.covered(bars.length, formatPercent(shareOf(bars)))}</p>
      </>}
      {bars.some(isOpen) && <p class="hint">{isNext ? t.howToTakeNext : t.howToTake}</p>}
    </section>
  )
}
