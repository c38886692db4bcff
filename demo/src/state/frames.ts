/** At least this often even where the browser draws no frames (a hidden tab), in milliseconds. */
const HIDDEN_MS = 250

export interface FrameBatch {
  /** Asks for one call of the work at the next frame. */
  request: () => void
  /** Does the work now, and drops what was asked for. */
  flush: () => void
}

/** Gathers any number of requests into one call of `work` a frame. */
export function batchByFrame(work: () => void): FrameBatch {
  let frame = 0
  let timer: ReturnType<typeof setTimeout> | undefined

  function flush(): void {
    cancelAnimationFrame(frame)
    clearTimeout(timer)
    frame = 0
    work()
  }

  function request(): void {
    if (frame !== 0) return
    frame = requestAnimationFrame(flush)
    timer = setTimeout(flush, HIDDEN_MS)
  }

  return { request, flush }
}
