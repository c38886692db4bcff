import { openDatabase, result } from '../storage/database'
import { keep, readKept } from '../storage/kept'
import { pack, unpack } from './packing'
import { restore, type Restored, type Saved } from './transfer'

/**
 * The saved sandbox in IndexedDB, one record a tab; a new tab starts from the newest. Without IndexedDB (forbidden, broken)
 * every function quietly does nothing: the page works, unsaved.
 */

const DATABASE = 'sandle'
const STORE = 'sandboxes'
/** Where a page that is being left puts what is not stored yet: IndexedDB takes time that such a page may not have. */
const LEFT = 'sandle.left'
/** Records of tabs closed long ago that are kept. */
const KEEP = 20

/** This tab's name, which survives a reload. */
function tabName(): string {
  const known = readKept('tab', 'sandle.tab')
  if (known) return known
  const name = `${Date.now().toString(36)}-${Math.random().toString(36).slice(2, 8)}`
  return keep('tab', 'sandle.tab', name) ? name : 'only'
}

let database: Promise<IDBDatabase> | undefined
let tab: string | undefined

async function records(mode: IDBTransactionMode): Promise<IDBObjectStore> {
  database ??= openDatabase(DATABASE, (made) => made.createObjectStore(STORE))
  return (await database).transaction(STORE, mode).objectStore(STORE)
}

/** What this tab, or else the last one to save, held; null when there is nothing that can be read. */
export async function loadSaved(): Promise<Restored | null> {
  try {
    tab ??= tabName()
    const left = whatWasLeft()
    if (left !== null) await put(left)
    const store = await records('readonly')
    const own: unknown = left ?? await result(store.get(tab))
    return restore(unpack(own ?? newest(await result(store.getAll()))))
  } catch {
    return null
  }
}

function newest(all: unknown[]): unknown {
  const savedAt = (value: unknown): string => (value as Partial<Saved>).savedAt ?? ''
  return all.reduce<unknown>((best, each) => (best === undefined || savedAt(each) > savedAt(best) ? each : best), undefined)
}

function whatWasLeft(): unknown {
  const text = readKept('tab', LEFT)
  return text === null ? null : JSON.parse(text)
}

/** For a page that is being left: keeps what is not stored yet for its next opening. Where it is too large, what was stored last has to do. */
export function leaveBehind(saved: Saved): void {
  keep('tab', LEFT, JSON.stringify(pack(saved)))
}

async function put(packed: unknown): Promise<void> {
  tab ??= tabName()
  await result((await records('readwrite')).put(packed, tab))
  keep('tab', LEFT, null)
}

export async function storeSaved(saved: Saved): Promise<void> {
  try {
    tab ??= tabName()
    await put(pack(saved))
    await prune(tab)
  } catch {
    // Unsaved: Export still works.
  }
}

async function prune(own: string): Promise<void> {
  const store = await records('readwrite')
  const names = (await result(store.getAllKeys())).filter((name) => name !== own) // in the order of their tabs' opening
  for (const name of names.slice(0, Math.max(0, names.length - KEEP))) store.delete(name)
}
