import type { TargetedEvent, VNode } from 'preact'
import { useLayoutEffect, useRef } from 'preact/hooks'

import { parameterHints, parameterLabels, settingsWords as t } from '../i18n/settings'
import { clamp, type NumberParameter } from '../settings/parameters'
import { Icon } from './Icon'

interface Props {
  parameter: NumberParameter
  sliderMax: number | null
  value: number | null
  onValue: (value: number | null) => void
}

/** One number: a box for the keyboard, a slider for the pointer, one clamp for both, and a way back. */
export function NumberField({ parameter, sliderMax, value, onValue }: Props): VNode {
  const { field, initial, min, max, step, empty, isInteger } = parameter
  const id = `field-${field}`
  const label = parameterLabels[field]
  const box = useRef<HTMLInputElement>(null)

  /** The box is not bound to the value: "0.0" on its way to "0.05" must not be rewritten as "0". */
  useLayoutEffect(() => {
    if (!box.current) return
    const isSame = value === null ? box.current.value === '' : box.current.value !== '' && Number(box.current.value) === value
    if (!isSame) box.current.value = value === null ? '' : String(value)
  }, [value])

  /** While typing, only a value above the range is put right: "0." is on its way to 0.5. */
  function onInput({ currentTarget: input }: TargetedEvent<HTMLInputElement>): void {
    if (input.value === '') {
      if (!input.validity.badInput && empty) onValue(null)
    } else if (Number(input.value) >= min) onValue(clamp(parameter, Number(input.value)))
  }

  /** When the box is left it shows what will be sent. */
  function onChange({ currentTarget: input }: TargetedEvent<HTMLInputElement>): void {
    const left = input.value !== '' ? clamp(parameter, Number(input.value)) : empty ? null : initial
    onValue(left)
    input.value = left === null ? '' : String(left)
  }

  return (
    <div class="number">
      <label for={id} title={parameterHints[field]}>{label}</label>
      {value !== initial && (
        <button type="button" class="quiet reset" aria-label={t.reset(label)} title={t.reset(label)} onClick={() => onValue(initial)}>
          <Icon line="M3.5 8a4.5 4.5 0 1 0 1.6-3.45M3.2 2.5v3h3" />
        </button>
      )}
      <input
        id={id} ref={box} type="number" inputMode={isInteger && min >= 0 ? 'numeric' : 'decimal'} min={min} max={max} step={step} placeholder={empty && t[empty]}
        aria-describedby={`${id}-hint`} autocomplete="off" onInput={onInput} onChange={onChange} />
      {sliderMax !== null && (
        <input
          type="range" tabIndex={-1} aria-label={t.slider(label)} min={min} max={sliderMax} step={step} value={Math.min(value ?? min, sliderMax)}
          onInput={(event) => onValue(clamp(parameter, Number(event.currentTarget.value)))} />
      )}
      <span id={`${id}-hint`} hidden>{parameterHints[field]}</span>
    </div>
  )
}
