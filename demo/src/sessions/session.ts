/** Named documents in this browser: what is known of each besides its text, and which of two tabs' work goes where. */

export interface SessionHead {
  id: string
  /** Given by the reader; '' for a session that goes by its first words. */
  name: string
  /** The first words of its text. */
  title: string
  /** Grows by one with every save, so that a tab can tell that another has saved since. */
  version: number
  savedAt: string
}

/** What a tab last read or wrote of a session; version 0 for one that was never saved. */
export type SessionMark = Pick<SessionHead, 'id' | 'version'>

export const MAX_NAME = 60
const MAX_TITLE = 40

/** The first words of a text, on one line. */
export function titleOf(text: string): string {
  const line = text.slice(0, 4 * MAX_TITLE).replace(/\s+/g, ' ').trim()
  const letters = [...line]
  if (letters.length <= MAX_TITLE) return line
  return `${letters.slice(0, MAX_TITLE).join('').replace(/ \S*$/, '')}…`
}

export function newId(): string {
  return `${Date.now().toString(36)}-${Math.random().toString(36).slice(2, 10)}`
}

/** A head out of the store; null for anything else. */
export function readHead(value: unknown): SessionHead | null {
  if (typeof value !== 'object' || value === null) return null
  const { id, name, title, version, savedAt } = value as Record<string, unknown>
  if (typeof id !== 'string' || typeof name !== 'string' || typeof title !== 'string' || typeof savedAt !== 'string') return null
  return Number.isSafeInteger(version) ? { id, name, title, version: version as number, savedAt } : null
}

/** "Letter" beside "Letter" is "Letter (2)". */
function besideName(name: string, taken: readonly string[]): string {
  const stem = name.replace(/ \(\d+\)$/, '')
  let number = 2
  while (taken.includes(`${stem} (${number})`)) number += 1
  return `${stem} (${number})`
}

/**
 * The head under which a tab's work is saved. Where another tab has saved the session since, the work goes beside it, as a session
 * of its own: neither text is lost. A session that was deleted meanwhile comes back.
 */
export function nextHead(mark: SessionMark, title: string, heads: readonly SessionHead[], now: Date, freshId: string): SessionHead {
  const stored = heads.find(({ id }) => id === mark.id)
  const savedAt = now.toISOString()
  if (!stored) return { id: mark.id, name: '', title, version: mark.version + 1, savedAt }
  if (stored.version === mark.version) return { ...stored, title, version: stored.version + 1, savedAt }
  const name = besideName(stored.name || stored.title, heads.map((each) => each.name))
  return { id: freshId, name, title, version: 1, savedAt }
}
