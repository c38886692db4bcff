import { useSignal } from '@preact/signals'
import type { VNode } from 'preact'
import { useRef } from 'preact/hooks'

import { sessionWords as t } from '../i18n/sessions'
import { MAX_NAME } from '../sessions/session'
import type { Sessions } from '../sessions/sessions'
import { NameForm } from './NameForm'

function nameOf(head: { name: string; title: string }): string {
  return head.name || head.title || t.untitled
}

interface LinkProps {
  label: string
  title?: string
  isOff: boolean
  onPress: () => void
}

function LinkButton({ label, title, isOff, onPress }: LinkProps): VNode {
  return <button type="button" class="link" title={title} disabled={isOff} onClick={onPress}>{label}</button>
}

/** The texts of this browser, each with its settings: choose, begin, name and delete them. */
export function SessionField({ sessions, isRunning }: { sessions: Sessions; isRunning: boolean }): VNode {
  const select = useRef<HTMLSelectElement>(null)
  const isNaming = useSignal(false)
  const current = sessions.current.value
  const list = sessions.list.value
  const removed = sessions.removed.value

  /** The buttons come and go; the list stays, and has the focus after each of them. */
  function toList(): void {
    isNaming.value = false
    select.current?.focus()
  }

  function thenList(work: () => Promise<void>): () => void {
    return () => {
      void work()
      toList()
    }
  }

  return (
    <div class="field">
      <label for="session">{t.session}</label>
      <select id="session" ref={select} value={current} disabled={isRunning} onChange={(event) => void sessions.open(event.currentTarget.value)}>
        {list.map((head) => <option key={head.id} value={head.id}>{nameOf(head)}</option>)}
      </select>
      {isNaming.value
        ? (
            <NameForm
              label={t.name} initial={list.find(({ id }) => id === current)?.name ?? ''} isOptional maxLength={MAX_NAME} save={() => t.save} cancel={t.cancel}
              onDone={(name) => thenList(() => sessions.rename(name))()} onLeave={toList} />
          )
        : (
            <div class="row">
              <LinkButton label={t.new} title={t.newHint} isOff={isRunning} onPress={thenList(() => sessions.create())} />
              <LinkButton label={t.rename} isOff={isRunning} onPress={() => { isNaming.value = true }} />
              <LinkButton label={t.delete} isOff={isRunning} onPress={thenList(() => sessions.remove())} />
            </div>
          )}
      <span class="hint" aria-live="polite">
        {removed && <>{t.deleted(nameOf(removed.head))} <LinkButton label={t.undoDelete} isOff={isRunning} onPress={thenList(() => sessions.undoRemove())} /></>}
      </span>
    </div>
  )
}
