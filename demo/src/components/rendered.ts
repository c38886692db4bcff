/** Settles once what has just been changed is in the page: it is drawn in a microtask, which the change has queued before this one. */
export function rendered(): Promise<void> {
  return Promise.resolve()
}
