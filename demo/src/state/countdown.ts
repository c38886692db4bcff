import { signal, type Signal } from '@preact/signals-core'

export interface Countdown {
  secondsLeft: Signal<number>
  /** Counts down; true at zero or when skipped, false when aborted. */
  run: (seconds: number, signal: AbortSignal) => Promise<boolean>
  skip: () => void
}

export function createCountdown(): Countdown {
  const secondsLeft = signal(0)
  let finish: (() => void) | null = null

  async function run(seconds: number, signal: AbortSignal): Promise<boolean> {
    secondsLeft.value = Math.max(1, Math.ceil(seconds))
    await new Promise<void>((resolve) => {
      const timer = setInterval(() => {
        secondsLeft.value -= 1
        if (secondsLeft.value <= 0) finish?.()
      }, 1000)
      finish = () => {
        clearInterval(timer)
        resolve()
      }
      signal.addEventListener('abort', finish, { once: true })
    })
    finish = null
    secondsLeft.value = 0
    return !signal.aborted
  }

  return { secondsLeft, run, skip: () => finish?.() }
}
