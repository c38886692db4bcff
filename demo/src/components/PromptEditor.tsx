import type { ReadonlySignal } from '@preact/signals'
import type { RefObject, TargetedKeyboardEvent, VNode } from 'preact'
import { useLayoutEffect, useRef } from 'preact/hooks'

import { changed } from '../document/edit'
import { actions as t } from '../i18n/actions'
import type { SandboxDocument } from '../state/sandboxDocument'
import { useTints } from './useTints'

/** A textarea holds no carriage returns; comparing anything else with it would never agree. */
function lines(text: string): string {
  return text.replace(/\r\n?/g, '\n')
}

/** Within this many pixels of the end, the text is followed as it grows. */
const BOTTOM_PX = 32

/** Brings the box to `text` by the smallest change, keeping the caret where it is, or at the end if it was there. */
function show(area: HTMLTextAreaElement, text: string, isRunning: boolean): void {
  const before = area.value
  const wasAtEnd = area.selectionStart === before.length
  const wasAtBottom = area.scrollHeight - area.scrollTop - area.clientHeight < BOTTOM_PX
  if (text.startsWith(before)) {
    area.setRangeText(text.slice(before.length), before.length, before.length, 'preserve')
    if (wasAtEnd) area.setSelectionRange(text.length, text.length)
  } else {
    const [from, to] = changed(before, text)
    area.setRangeText(text.slice(from, text.length - (before.length - to)), from, to, 'end')
  }
  const endsAtEnd = area.selectionEnd === text.length
  if (isRunning ? wasAtBottom : endsAtEnd) area.scrollTop = area.scrollHeight
}

type Props = { document: SandboxDocument; isRunning: ReadonlySignal<boolean> }

/** The text again, invisible, in the same lines, on which the pieces that the model wrote are tinted, as far as the last of them. */
function Tints({ document: doc, isRunning, layer }: Props & { layer: RefObject<HTMLDivElement | null> }): VNode {
  const { blocks, areBehind } = useTints(doc.pieces, isRunning)
  return (
    <div class="mirror" aria-hidden="true">
      <div ref={layer} hidden={areBehind.value}>
        {blocks.value.map((block, at) => <div key={at}>{block.map((stretch, index) => <span key={index} class={stretch.kind}>{lines(stretch.text)}</span>)}</div>)}
      </div>
    </div>
  )
}

/** The text: a plain textarea that the model writes into, with its tints behind it. Neither ever holds HTML. */
export function PromptEditor({ document: doc, isRunning, describedBy }: Props & { describedBy: string | undefined }): VNode {
  const box = useRef<HTMLTextAreaElement>(null)
  const layer = useRef<HTMLDivElement>(null)
  const shown = lines(doc.text.value)

  /** Keeps the tint under its text. */
  function follow(): void {
    if (layer.current && box.current) layer.current.style.transform = `translateY(${-box.current.scrollTop}px)`
  }

  useLayoutEffect(() => {
    if (!box.current || box.current.value === shown) return
    show(box.current, shown, isRunning.value)
    follow()
  }, [shown])
  useLayoutEffect(() => box.current?.setSelectionRange(shown.length, shown.length), [])

  function onKeyDown(event: TargetedKeyboardEvent<HTMLTextAreaElement>): void {
    if (!(event.ctrlKey || event.metaKey) || event.altKey || event.isComposing) return
    const key = event.key.toLowerCase()
    if (key !== 'z' && key !== 'y') return
    event.preventDefault() // the browser's own history knows nothing of what the model wrote
    if (isRunning.value) return
    if (key === 'y' || event.shiftKey) doc.redo()
    else doc.undo()
  }

  return (
    <div class="editor">
      <Tints document={doc} isRunning={isRunning} layer={layer} />
      <textarea
        id="prompt" ref={box} class="paper" aria-label={t.prompt} readOnly={isRunning.value} aria-busy={isRunning.value} aria-describedby={describedBy} rows={8}
        placeholder={t.placeholder} autocomplete="off" autocapitalize="sentences" onInput={(event) => doc.type(event.currentTarget.value)} onKeyDown={onKeyDown} onScroll={follow} />
    </div>
  )
}
