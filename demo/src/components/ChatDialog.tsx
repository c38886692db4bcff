import { useSignal } from '@preact/signals'
import type { TargetedKeyboardEvent, VNode } from 'preact'
import { useLayoutEffect } from 'preact/hooks'

import { chatOf } from '../chat/chat'
import { added, moved, newConversation, type Message } from '../chat/messages'
import { chatWords as t } from '../i18n/chat'
import { idOf, MessageRow } from './chat/MessageRow'
import { DialogFrame } from './DialogFrame'
import { ErrorAlert } from './ErrorAlert'
import { rendered } from './rendered'
import { useSandbox } from './sandboxContext'

/** Once the dialog, and on a narrow page the sheet below it, have given way to the text. */
async function goToText(): Promise<void> {
  document.querySelector<HTMLDialogElement>('dialog.rail')?.close()
  await rendered()
  document.getElementById('prompt')?.focus()
}

/** Messages, which the model's template makes the text of the page. */
export function ChatDialog({ onClose }: { onClose: () => void }): VNode {
  const sandbox = useSandbox()
  const chat = chatOf(sandbox)
  const note = useSignal('')
  /** What was there before messages were taken away. */
  const before = useSignal<readonly Message[] | null>(null)
  const messages = chat.messages.value
  const waitS = chat.waitS.value
  const isAsking = chat.isRendering.value && waitS === 0
  const last = messages.findLast(({ content }) => content.trim() !== '')

  useLayoutEffect(() => () => chat.stop(), [])

  /** What has the focus keeps it, wherever it goes, unless a message is to have it. */
  function set(next: readonly Message[], says = '', taken: readonly Message[] | null = null, focused?: Message): void {
    const { activeElement } = document
    chat.messages.value = next
    note.value = says
    before.value = taken
    void rendered().then(() => (focused ? document.getElementById(idOf(focused)) : activeElement as HTMLElement | null)?.focus())
  }

  function grow(next: readonly Message[]): void {
    set(next, '', null, next.at(-1))
  }

  function remove(at: number): void {
    const left = messages.toSpliced(at, 1)
    const next = left.length > 0 ? left : added([], 'user')
    set(next, t.removed(left.length), messages, next[Math.min(at, next.length - 1)])
  }

  function clear(): void {
    const next = newConversation()
    set(next, t.removed(0), messages, next.at(-1))
  }

  async function submit(): Promise<void> {
    if (waitS > 0) chat.skipWait()
    else if (!chat.isBlank.value && await chat.putIntoText()) {
      sandbox.tab.value = 'Write'
      onClose()
      await goToText()
    }
  }

  function onKeyDown(event: TargetedKeyboardEvent<HTMLElement>): void {
    if (event.key !== 'Enter' || event.isComposing || !(event.ctrlKey || event.metaKey)) return
    event.preventDefault()
    void submit()
  }

  return (
    <DialogFrame class="chat" title={t.title} onClose={onClose} choices={<button type="button" class="primary" disabled={chat.isBlank.value} onClick={submit}>{t.submit}</button>}>
      <p>{t.intro}</p>
      <ol class="messages" aria-label={t.messages} onKeyDown={onKeyDown}>
        {messages.map((message, at) => (
          <MessageRow
            key={message.id} message={message} at={at} count={messages.length} onChange={(change) => set(messages.with(at, { ...message, ...change }))}
            onMove={(by) => set(moved(messages, at, at + by), t.isNow(at + by + 1, messages.length))} onRemove={() => remove(at)} />
        ))}
      </ol>
      <div class="row">
        <button type="button" class="link" onClick={() => grow(added(messages))}>{t.add}</button>
        {chat.answer.value.trim() !== '' && <button type="button" class="link" title={t.takeAnswerHint} onClick={() => grow(chat.takeAnswer())}>{t.takeAnswer}</button>}
        {!chat.isBlank.value && <button type="button" class="link" onClick={clear}>{t.clear}</button>}
      </div>
      <p class="hint">
        <span aria-live="polite">{isAsking ? t.rendering : note.value}</span>{' '}
        {before.value && <button type="button" class="link" onClick={() => grow(before.value ?? [])}>{t.restore}</button>}
      </p>
      {last?.role === 'assistant' && <p class="hint">{t.goesOn}</p>}
      {hasAround(sandbox.settings) && <p class="hint">{t.clears}</p>}
      <ErrorAlert failure={chat.failure.value} waitS={waitS} onRetry={submit} onDismiss={() => chat.dismiss()} />
    </DialogFrame>
  )
}

/** Whether something is set that belongs to another kind of text. */
function hasAround({ stop, startText, restartText, suffix }: { stop: readonly string[]; startText: string; restartText: string; suffix: string }): boolean {
  return stop.length > 0 || startText + restartText + suffix !== ''
}
