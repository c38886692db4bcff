/**
 * A JSON value as letters that an address can hold: UTF-8, deflate-raw, base64url. Knows nothing of what the value means.
 * What comes back in was made by anyone: nothing is read beyond the limits, neither before nor after inflation.
 */

/** Letters of a packed value: more than any address bar is known to carry. */
export const MAX_PACKED = 1_000_000
/** Bytes of the value's JSON. A few letters can inflate to gigabytes; nothing this page makes comes near this. */
export const MAX_JSON = 2_000_000

export class PackError extends Error {
  constructor(readonly reason: 'large' | 'broken') {
    super(`The packed value is ${reason === 'large' ? 'too large' : 'broken'}`)
  }
}

async function readAll(stream: ReadableStream<Uint8Array>, limit: number): Promise<Uint8Array<ArrayBuffer>> {
  const reader = stream.getReader()
  const chunks: Uint8Array[] = []
  let length = 0
  for (;;) {
    const { done, value } = await reader.read()
    if (done) break
    length += value.length
    if (length > limit) {
      reader.cancel().catch(() => undefined)
      throw new PackError('large')
    }
    chunks.push(value)
  }
  const whole = new Uint8Array(length)
  let at = 0
  for (const chunk of chunks) {
    whole.set(chunk, at)
    at += chunk.length
  }
  return whole
}

function through(bytes: Uint8Array<ArrayBuffer>, transform: CompressionStream | DecompressionStream): ReadableStream<Uint8Array> {
  return new Blob([bytes]).stream().pipeThrough(transform)
}

/** Letters at a time: a call takes only so many arguments. */
const PIECE = 0x8000

function toBase64Url(bytes: Uint8Array): string {
  let binary = ''
  for (let at = 0; at < bytes.length; at += PIECE) binary += String.fromCharCode(...bytes.subarray(at, at + PIECE))
  return btoa(binary).replaceAll('+', '-').replaceAll('/', '_').replace(/=+$/, '')
}

function fromBase64Url(letters: string): Uint8Array<ArrayBuffer> {
  if (!/^[\w-]+$/.test(letters)) throw new PackError('broken')
  try {
    return Uint8Array.from(atob(letters.replaceAll('-', '+').replaceAll('_', '/')), (letter) => letter.charCodeAt(0))
  } catch {
    throw new PackError('broken')
  }
}

/** Throws PackError `large` where `unpack` would. */
export async function pack(value: unknown): Promise<string> {
  const bytes = new TextEncoder().encode(JSON.stringify(value))
  if (bytes.length > MAX_JSON) throw new PackError('large')
  const letters = toBase64Url(await readAll(through(bytes, new CompressionStream('deflate-raw')), MAX_JSON))
  if (letters.length > MAX_PACKED) throw new PackError('large')
  return letters
}

/** What `pack` packed. Throws PackError for anything else. */
export async function unpack(letters: string): Promise<unknown> {
  if (letters.length > MAX_PACKED) throw new PackError('large')
  try {
    const bytes = await readAll(through(fromBase64Url(letters), new DecompressionStream('deflate-raw')), MAX_JSON)
    return JSON.parse(new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes)) as unknown
  } catch (error) {
    throw error instanceof PackError ? error : new PackError('broken')
  }
}
