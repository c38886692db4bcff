import type { SessionMark } from './session'

/** Which session this tab is on, in sessionStorage: a reload goes on with it. */

const NAME = 'sandle.session'

export function readMark(): SessionMark | null {
  try {
    const value = JSON.parse(sessionStorage.getItem(NAME) ?? 'null') as Partial<SessionMark> | null
    return typeof value?.id === 'string' && Number.isSafeInteger(value.version) ? { id: value.id, version: value.version ?? 0 } : null
  } catch {
    return null
  }
}

export function writeMark({ id, version }: SessionMark): void {
  try {
    sessionStorage.setItem(NAME, JSON.stringify({ id, version }))
  } catch {
    // A reload will begin a session of its own.
  }
}
