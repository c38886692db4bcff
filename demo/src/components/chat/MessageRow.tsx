import type { VNode } from 'preact'

import { ROLES, type Message, type Role } from '../../chat/messages'
import { chatWords as t } from '../../i18n/chat'
import { Icon } from '../Icon'

interface Props {
  message: Message
  /** Its place, from 0. */
  at: number
  count: number
  onChange: (change: Partial<Message>) => void
  onMove: (by: -1 | 1) => void
  onRemove: () => void
}

interface ButtonProps {
  label: string
  line: string
  isOff?: boolean
  onPress: () => void
}

/** A press by the keyboard leaves the focus on it, so that the next one goes on: a button that has no more to do stays in reach. */
function RowButton({ label, line, isOff = false, onPress }: ButtonProps): VNode {
  return (
    <button type="button" class="quiet" aria-label={label} title={label} aria-disabled={isOff} onClick={() => { if (!isOff) onPress() }}>
      <Icon line={line} />
    </button>
  )
}

export const idOf = ({ id }: Message): string => `message-${id}`

/** One message: who says it and what, and its place among the others. */
export function MessageRow({ message, at, count, onChange, onMove, onRemove }: Props): VNode {
  const number = at + 1
  return (
    <li class="message" data-role={message.role} aria-label={t.message(number, count)}>
      <div class="message-head">
        <select aria-label={t.role(number)} value={message.role} onChange={({ currentTarget }) => onChange({ role: currentTarget.value as Role })}>
          {ROLES.map((role) => <option key={role} value={role}>{t[role]}</option>)}
        </select>
        <RowButton label={t.up(number)} line="m3 10 5-5 5 5" isOff={at === 0} onPress={() => onMove(-1)} />
        <RowButton label={t.down(number)} line="m3 6 5 5 5-5" isOff={number === count} onPress={() => onMove(1)} />
        <RowButton label={t.remove(number)} line="m4 4 8 8m0-8-8 8" onPress={onRemove} />
      </div>
      <textarea
        id={idOf(message)} rows={2} aria-label={t.content(number)} value={message.content} autocomplete="off" autocapitalize="sentences"
        placeholder={message.role === 'system' ? t.placeholderSystem : t.placeholder} onInput={({ currentTarget }) => onChange({ content: currentTarget.value })} />
    </li>
  )
}
