import type { ComponentChildren, VNode } from 'preact'
import { useLayoutEffect, useRef } from 'preact/hooks'

import { page } from '../i18n/page'
import { classes } from './classes'

interface Props {
  title: string
  class?: string
  onClose: () => void
  /** Stand before the button that closes it, which is then not the first choice. */
  choices?: ComponentChildren
  children: ComponentChildren
}

/** A dialog: open as long as it is there, left by its button, by Escape or by a press beside it. */
export function DialogFrame({ title, class: name, onClose, choices, children }: Props): VNode {
  const dialog = useRef<HTMLDialogElement>(null)
  useLayoutEffect(() => dialog.current?.showModal(), [])

  return (
    <dialog
      ref={dialog} class={classes('card', name)} aria-labelledby="dialog-title" onClose={onClose}
      onClick={(event) => { if (event.target === event.currentTarget) event.currentTarget.close() }}>
      <div class="inside">
        {/* Otherwise the first link would have the focus, and a small window would open at the end of the text. */}
        <h2 id="dialog-title" tabIndex={-1} autofocus>{title}</h2>
        {children}
        <form method="dialog" class="choices">{choices}<button class={choices ? '' : 'primary'}>{page.close}</button></form>
      </div>
    </dialog>
  )
}
