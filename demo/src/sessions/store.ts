import { pack, unpack } from '../document/packing'
import { restore, type Restored, type Saved } from '../document/transfer'
import { openDatabase, result } from '../storage/database'
import { newId, nextHead, readHead, type SessionHead, type SessionMark } from './session'

/**
 * The sessions in IndexedDB: heads in one store, so that listing them reads no texts, and documents in another. Every function
 * rejects where the browser has no IndexedDB or no room; the caller knows what that means to the reader.
 */

const DATABASE = 'sandle-sessions'
const HEADS = 'heads'
const DOCUMENTS = 'documents'

let database: Promise<IDBDatabase> | undefined

interface Stores {
  heads: IDBObjectStore
  documents: IDBObjectStore
}

/** One transaction over both stores: what `work` returns, once all of it is kept. */
async function transact<T>(mode: IDBTransactionMode, work: (stores: Stores) => Promise<T>): Promise<T> {
  database ??= openDatabase(DATABASE, make)
  database.catch(() => { database = undefined }) // the next attempt may succeed
  const transaction = (await database).transaction([HEADS, DOCUMENTS], mode)
  const finished = new Promise<void>((resolve, reject) => {
    transaction.oncomplete = () => resolve()
    transaction.onabort = () => reject(transaction.error ?? new Error('IndexedDB failed'))
  })
  finished.catch(() => undefined) // reported below, or by `work` itself
  const found = await work({ heads: transaction.objectStore(HEADS), documents: transaction.objectStore(DOCUMENTS) })
  await finished
  return found
}

function make(made: IDBDatabase): void {
  made.createObjectStore(HEADS, { keyPath: 'id' })
  made.createObjectStore(DOCUMENTS)
}

async function readHeads({ heads }: Stores): Promise<SessionHead[]> {
  return (await result(heads.getAll() as IDBRequest<unknown[]>)).map(readHead).filter((head) => head !== null)
}

/** All sessions, the one saved last first. */
export async function listSessions(): Promise<SessionHead[]> {
  const heads = await transact('readonly', readHeads)
  return heads.sort((one, other) => (one.savedAt < other.savedAt ? 1 : -1))
}

/** A session's document; null when there is none that can be read. */
export async function readSession(id: string): Promise<{ head: SessionHead; restored: Restored } | null> {
  const [head, saved] = await transact('readonly', async ({ heads, documents }) => [
    readHead(await result(heads.get(id) as IDBRequest<unknown>)), await result(documents.get(id) as IDBRequest<unknown>),
  ] as const)
  try {
    return head && { head, restored: restore(unpack(saved)) }
  } catch {
    return null
  }
}

/** Saves a tab's work, and says under which head: that of another session where `nextHead` puts it beside. */
export function writeSession(mark: SessionMark, title: string, saved: Saved): Promise<SessionHead> {
  return transact('readwrite', async (stores) => {
    const head = nextHead(mark, title, await readHeads(stores), new Date(), newId())
    stores.heads.put(head)
    stores.documents.put(pack(saved), head.id)
    return head
  })
}

export function renameSession(id: string, name: string): Promise<void> {
  return transact('readwrite', async ({ heads }) => {
    const head = readHead(await result(heads.get(id) as IDBRequest<unknown>))
    if (head) heads.put({ ...head, name })
  })
}

/** Takes a session out, and gives back what `restoreSession` needs to put it in again. */
export function removeSession(id: string): Promise<RemovedSession | null> {
  return transact('readwrite', async ({ heads, documents }) => {
    const head = readHead(await result(heads.get(id) as IDBRequest<unknown>))
    const saved = await result(documents.get(id) as IDBRequest<unknown>)
    heads.delete(id)
    documents.delete(id)
    return head && { head, saved }
  })
}

export interface RemovedSession {
  head: SessionHead
  saved: unknown
}

export function restoreSession({ head, saved }: RemovedSession): Promise<void> {
  return transact('readwrite', async ({ heads, documents }) => {
    heads.put(head)
    documents.put(saved, head.id)
  })
}
