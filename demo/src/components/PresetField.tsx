import { useSignal } from '@preact/signals'
import type { TargetedEvent, VNode } from 'preact'
import { useRef } from 'preact/hooks'

import { presetNames, presetWords as t } from '../i18n/presets'
import { MAX_NAME, type OwnPresets } from '../settings/ownPresets'
import { isAs, PRESETS, type Preset, type PresetId } from '../settings/presets'
import type { Settings } from '../settings/settings'
import type { SandboxDocument } from '../state/sandboxDocument'
import { NameForm } from './NameForm'

interface Props {
  own: OwnPresets
  document: SandboxDocument
  settings: Settings
  isRunning: boolean
  onChoose: (preset: Preset) => void
}

const OWN = 'own:'
const IDS = Object.keys(PRESETS) as PresetId[]

/** Ways to start: the page's own and the reader's. Choosing one changes the text and the settings, not the model. */
export function PresetField({ own, document: doc, settings, isRunning, onChoose }: Props): VNode {
  const now = { text: doc.text.value, settings }
  const list = useRef<HTMLSelectElement>(null)
  const isNaming = useSignal(false)
  const isUnkept = useSignal(false)

  /** The preset that all is still as in; once it has been changed, the same preset can be chosen again. */
  const mine = own.list.value.find((each) => isAs(each, now))
  const chosen = mine ? OWN + mine.name : (IDS.find((id) => isAs(PRESETS[id], now)) ?? '')

  function choose({ currentTarget: { value } }: TargetedEvent<HTMLSelectElement>): void {
    onChoose(own.list.value.find((each) => OWN + each.name === value) ?? PRESETS[value as PresetId])
  }

  function close(): void {
    isNaming.value = false
    list.current?.focus()
  }

  function save(name: string): void {
    isUnkept.value = !own.keep({ name, text: now.text, settings: { ...now.settings } }) // the settings on the page go on changing
    close()
  }

  function remove(): void {
    own.remove(chosen.slice(OWN.length))
    list.current?.focus()
  }

  return (
    <div class="field">
      <label for="preset">{t.preset}</label>
      <select id="preset" ref={list} value={chosen} disabled={isRunning} onChange={choose}>
        <option value="" disabled>{t.custom}</option>
        {IDS.map((id) => <option key={id} value={id}>{presetNames[id]}</option>)}
        {own.list.value.length > 0 && (
          <optgroup label={t.yours}>{own.list.value.map(({ name }) => <option key={name} value={OWN + name}>{name}</option>)}</optgroup>
        )}
      </select>
      {isNaming.value
        ? <NameForm label={t.name} maxLength={MAX_NAME} save={(name) => (own.list.value.some((each) => each.name === name) ? t.replace : t.save)} cancel={t.cancel} onDone={save} onLeave={close} />
        : (
            <div class="row">
              {chosen === '' && <button type="button" class="link" onClick={() => { isNaming.value = true }}>{t.saveAs}</button>}
              {chosen.startsWith(OWN) && <button type="button" class="link" onClick={remove}>{t.delete}</button>}
            </div>
          )}
      {isUnkept.value && <span class="hint bad">{t.notKept}</span>}
    </div>
  )
}
