import { keep, readKept } from '../storage/kept'
import type { SessionMark } from './session'

/** Which session this tab is on: a reload goes on with it. Where that cannot be kept, a reload begins a session of its own. */

const NAME = 'sandle.session'

export function readMark(): SessionMark | null {
  try {
    const value = JSON.parse(readKept('tab', NAME) ?? 'null') as Partial<SessionMark> | null
    return typeof value?.id === 'string' && Number.isSafeInteger(value.version) ? { id: value.id, version: value.version ?? 0 } : null
  } catch {
    return null
  }
}

export function writeMark({ id, version }: SessionMark): void {
  keep('tab', NAME, JSON.stringify({ id, version }))
}
