import { useSignal } from '@preact/signals'
import type { VNode } from 'preact'
import { useLayoutEffect, useRef } from 'preact/hooks'

import { shareWords as t } from '../i18n/share'
import { makeLink } from '../share/link'
import { copyText } from '../state/clipboard'
import { DialogFrame } from './DialogFrame'
import { rendered } from './rendered'
import { useSandbox } from './sandboxContext'

/** Longer links are cut by some chats and mail programs. */
const LONG = 8000

/** A link to the text as it stands: made when the dialog opens, and put into the clipboard. */
export function ShareDialog({ onClose }: { onClose: () => void }): VNode {
  const { document: doc, settings } = useSandbox()
  const field = useRef<HTMLInputElement>(null)
  const link = useSignal('')
  const note = useSignal(t.making)

  async function copy(): Promise<void> {
    field.current?.select()
    note.value = (await copyText(link.value)) ? t.copied : t.selectIt
  }

  async function make(): Promise<void> {
    try {
      link.value = await makeLink(window.location.href, { text: doc.text.value, settings })
    } catch {
      note.value = t.tooLarge
      return
    }
    await rendered()
    await copy()
  }

  useLayoutEffect(() => { void make() }, [])

  const { length } = link.value
  return (
    <DialogFrame class="share" title={t.title} onClose={onClose} choices={length > 0 && <button type="button" class="primary" onClick={copy}>{t.copy}</button>}>
      <p>{t.explanation}</p>
      {length > 0 && (
        <div class="field">
          <label for="share-link">{t.link}</label>
          <input id="share-link" ref={field} type="text" readOnly value={link.value} aria-describedby="share-length" onFocus={() => field.current?.select()} />
          <span id="share-length" class="hint">{t.length(length)} {length > LONG && <strong>{t.long}</strong>}</span>
        </div>
      )}
      <p class="note" aria-live="polite">{note.value}</p>
    </DialogFrame>
  )
}
