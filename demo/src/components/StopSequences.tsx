import type { Signal } from '@preact/signals'
import type { TargetedKeyboardEvent, VNode } from 'preact'

import { settingsWords as t } from '../i18n/settings'
import { escapeText, unescapeText } from '../settings/escapes'
import { Icon } from './Icon'

interface Props {
  stops: readonly string[]
  /** What is typed and not yet a chip. */
  draft: Signal<string>
  onStops: (stops: string[]) => void
}

/** Texts that end the answer, as chips. */
export function StopSequences({ stops, draft, onStops }: Props): VNode {
  function add(): void {
    const stop = unescapeText(draft.value)
    if (stop !== '' && !stops.includes(stop)) onStops([...stops, stop])
    draft.value = ''
  }

  function remove(at: number): void {
    onStops(stops.filter((_, index) => index !== at))
  }

  function onKeyDown(event: TargetedKeyboardEvent<HTMLInputElement>): void {
    if (event.key === 'Backspace' && draft.value === '') remove(stops.length - 1)
    if (event.key !== 'Enter' || event.isComposing || event.ctrlKey || event.metaKey) return
    event.preventDefault()
    add()
  }

  return (
    <div class="field">
      <label for="field-stop">{t.stops}</label>
      <div class="chips">
        {stops.length > 0 && (
          <ul aria-label={t.chosenStops}>
            {stops.map((stop, at) => (
              <li key={stop}>
                <code>{escapeText(stop)}</code>
                <button type="button" class="quiet" aria-label={t.removeStop(escapeText(stop))} onClick={() => remove(at)}><Icon line="m4.5 4.5 7 7m0-7-7 7" /></button>
              </li>
            ))}
          </ul>
        )}
        <input
          id="field-stop" type="text" value={draft.value} autocomplete="off" autocapitalize="off" spellcheck={false} aria-describedby="field-stop-hint"
          placeholder={t.stopPlaceholder} onInput={(event) => { draft.value = event.currentTarget.value }} onKeyDown={onKeyDown} onBlur={add} />
      </div>
      <span id="field-stop-hint" class="hint"><code>\n</code> {t.newlineHint}</span>
    </div>
  )
}
