import type { Signal } from '@preact/signals'
import type { TargetedKeyboardEvent, VNode } from 'preact'

import { page as t } from '../i18n/page'
import { rendered } from './rendered'

interface Props<Name extends string> {
  tabs: readonly Name[]
  labels: Readonly<Record<Name, string>>
  chosen: Signal<Name>
}

/** Tabs in the manner of the ARIA practices: one stop for Tab, arrows move and choose. */
export function TabBar<Name extends string>({ tabs, labels, chosen }: Props<Name>): VNode {
  function onKeyDown(event: TargetedKeyboardEvent<HTMLElement>): void {
    const by = event.key === 'ArrowRight' ? 1 : event.key === 'ArrowLeft' ? -1 : 0
    const next = tabs[(tabs.indexOf(chosen.value) + by + tabs.length) % tabs.length]
    if (by === 0 || next === undefined) return
    event.preventDefault()
    chosen.value = next
    void rendered().then(() => document.getElementById(`tab-${next}`)?.focus())
  }

  return (
    <div class="tabs" role="tablist" aria-label={t.views} onKeyDown={onKeyDown}>
      {tabs.map((each) => {
        const isChosen = chosen.value === each
        return (
          <button
            key={each} id={`tab-${each}`} type="button" role="tab" aria-selected={isChosen} aria-controls={isChosen ? `panel-${each}` : undefined} tabIndex={isChosen ? 0 : -1}
            onClick={() => { chosen.value = each }}>
            {labels[each]}
          </button>
        )
      })}
    </div>
  )
}
