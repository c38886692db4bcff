import { signal, type Signal } from '@preact/signals-core'

/** Whether the window is wide enough for the rail; styles/layout.css has the same width. */
export function followWidth(): Signal<boolean> {
  const query = window.matchMedia('(min-width: 992px)')
  const isWide = signal(query.matches)
  const follow = (): void => { isWide.value = query.matches }
  query.addEventListener('change', follow)
  return isWide
}
