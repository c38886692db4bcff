import { effect, signal, untracked } from '@preact/signals-core'

/** What the state needs beyond signals. Knows nothing of the view. */

/** Calls `react` at once whenever what `read` gives is another value. Gives the way to end it. */
export function watch<Value>(read: () => Value, react: (now: Value) => void): () => void {
  let before = untracked(read)
  return effect(() => {
    const now = read()
    if (Object.is(now, before)) return
    before = now
    untracked(() => react(now))
  })
}

/** An object with these fields, each of which is a signal to whoever reads it. What a field holds is replaced, never changed. */
export function observed<Fields extends object>(fields: Fields): Fields {
  const result = {} as Fields
  for (const name of Object.keys(fields) as (keyof Fields)[]) {
    const field = signal(fields[name])
    Object.defineProperty(result, name, { enumerable: true, get: () => field.value, set: (value: Fields[typeof name]) => { field.value = value } })
  }
  return result
}
