import { useSignal } from '@preact/signals'
import type { VNode } from 'preact'

import { escapeText, unescapeText } from '../settings/escapes'

interface Props {
  id: string
  label: string
  hint: string
  text: string
  onText: (text: string) => void
}

/** A text in which a newline is shown and typed as `\n`; a real one may be pasted, too. */
export function EscapedField({ id, label, hint, text, onText }: Props): VNode {
  /** What is being typed, in the reader's own spelling; it counts as long as it says the same as the text. */
  const typed = useSignal<string | null>(null)
  const isTyped = typed.value !== null && unescapeText(typed.value) === text
  return (
    <div class="field">
      <label for={id}>{label}</label>
      <textarea
        id={id} rows={1} class="line" value={isTyped && typed.value !== null ? typed.value : escapeText(text)} autocomplete="off" autocapitalize="off" spellcheck={false} aria-describedby={`${id}-hint`}
        onInput={({ currentTarget: { value } }) => {
          typed.value = value
          onText(unescapeText(value))
        }}
        onBlur={() => { typed.value = null }} />
      <span id={`${id}-hint`} class="hint">{hint}</span>
    </div>
  )
}
