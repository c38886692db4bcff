import type { RenderRequest } from '../api/request'

/** A conversation as it is being written, before a model's template makes it a prompt. All functions give a new list. */

export const ROLES = ['system', 'user', 'assistant'] as const
export type Role = (typeof ROLES)[number]

export interface Message {
  /** Its own as long as the list lasts, wherever the message goes. */
  id: number
  role: Role
  content: string
}

/** What a turn that follows on these would be: an answer on a question, and else a question. */
export function nextRole(messages: readonly Message[]): Role {
  return messages.at(-1)?.role === 'user' ? 'assistant' : 'user'
}

export function added(messages: readonly Message[], role: Role = nextRole(messages), content = ''): Message[] {
  return [...messages, { id: Math.max(-1, ...messages.map(({ id }) => id)) + 1, role, content }]
}

/** Where a conversation starts: room for instructions, and for the first question. */
export function newConversation(): Message[] {
  return added(added([], 'system'), 'user')
}

/** With the message at one place moved to another. */
export function moved(messages: readonly Message[], from: number, to: number): Message[] {
  const message = messages[from]
  return message && to in messages ? messages.toSpliced(from, 1).toSpliced(to, 0, message) : [...messages]
}

/** Messages without words are left out. An assistant's at the end is one that the model goes on with; after any other its answer begins. */
export function renderRequest(model: string, messages: readonly Message[]): RenderRequest {
  const said = messages.filter(({ content }) => content.trim() !== '').map(({ role, content }) => ({ role, content }))
  const isOpen = said.at(-1)?.role === 'assistant'
  return { model, messages: said, add_generation_prompt: !isOpen, continue_final_message: isOpen }
}

/** With what the model has written after their prompt: the rest of the message that it went on with, or a message of its own. */
export function answered(messages: readonly Message[], answer: string): Message[] {
  const said = messages.filter(({ content }) => content.trim() !== '')
  const last = said.at(-1)
  const withAnswer = last?.role === 'assistant'
    ? said.with(-1, { ...last, content: last.content + answer.trimEnd() })
    : added(said, 'assistant', answer.trim())
  return added(withAnswer, 'user')
}

/** What has been stored, as far as it is understood; null for what is no conversation. */
export function readMessages(stored: string | null): Message[] | null {
  let value: unknown
  try {
    value = JSON.parse(stored ?? 'null')
  } catch {
    return null
  }
  if (!Array.isArray(value)) return null
  const found = value.flatMap((each: unknown): { role: Role; content: string }[] => {
    const { role, content } = (each ?? {}) as Record<string, unknown>
    const known = ROLES.find((name) => name === role)
    return known && typeof content === 'string' ? [{ role: known, content }] : []
  })
  return found.length > 0 ? found.map((message, id) => ({ ...message, id })) : null
}
