import { useSignal } from '@preact/signals'
import type { VNode } from 'preact'
import { useLayoutEffect, useRef } from 'preact/hooks'

interface Props {
  label: string
  initial?: string
  isOptional?: boolean
  maxLength: number
  /** The word on the button that saves this name. */
  save: (name: string) => string
  cancel: string
  onDone: (name: string) => void
  onLeave: () => void
}

/** Asks for a name, in place. Escape and Cancel leave it. */
export function NameForm({ label, initial = '', isOptional = false, maxLength, save, cancel, onDone, onLeave }: Props): VNode {
  const field = useRef<HTMLInputElement>(null)
  const typed = useSignal(initial)
  const name = typed.value.trim()
  useLayoutEffect(() => field.current?.select(), [])

  function onSubmit(event: Event): void {
    event.preventDefault()
    if (name !== '' || isOptional) onDone(name)
  }

  function onKeyDown(event: KeyboardEvent): void {
    if (event.key !== 'Escape') return
    event.preventDefault()
    event.stopPropagation()
    onLeave()
  }

  return (
    <form class="naming" onSubmit={onSubmit} onKeyDown={onKeyDown}>
      <input
        ref={field} type="text" value={typed.value} required={!isOptional} maxLength={maxLength} aria-label={label} placeholder={label} autocomplete="off"
        onInput={(event) => { typed.value = event.currentTarget.value }} />
      <button class="primary">{save(name)}</button>
      <button type="button" onClick={onLeave}>{cancel}</button>
    </form>
  )
}
