import { initialSettings, readSettings, type Settings } from '../settings/settings'
import { pack, PackError, unpack } from './codec'

/** A link that carries a text and the settings it was written with; the part behind `#` never reaches a server. Never the key. */

const VERSION = 1
const MARK = '#s='

export interface Shared {
  text: string
  /** `model` in it is the one that the link names, or ''. */
  settings: Settings
}

/** A record's entries that differ from another's, by their JSON. */
function differing<Fields extends object>(mine: Fields, initial: Fields): Partial<Fields> {
  const entries = Object.entries(mine).filter(([name, value]) => JSON.stringify(value) !== JSON.stringify(initial[name as keyof Fields]))
  return Object.fromEntries(entries) as Partial<Fields>
}

/** The whole link. Throws PackError `large` for a text that no link can carry. */
export async function makeLink(page: string, { text, settings }: Shared): Promise<string> {
  const { model, numbers, ...rest } = settings
  const { model: _, numbers: initialNumbers, ...initial } = initialSettings()
  const changed = { ...differing(rest, initial), numbers: differing(numbers, initialNumbers) }
  return page.replace(/#.*$/s, '') + MARK + await pack({ v: VERSION, text, settings: changed, model })
}

export function isShared(hash: string): boolean {
  return hash.startsWith(MARK)
}

/** What the part of a link from `#s=` on carries. Throws PackError for what no page of this kind has made. */
export async function readLink(hash: string): Promise<Shared> {
  const value = await unpack(hash.slice(MARK.length))
  if (typeof value !== 'object' || value === null) throw new PackError('broken')
  const { v, text, settings, model } = value as Record<string, unknown>
  if (v !== VERSION || typeof text !== 'string') throw new PackError('broken')
  return { text, settings: { ...readSettings(settings), model: typeof model === 'string' ? model : '' } }
}
