import { signal, type Signal } from '@preact/signals-core'

import { keep } from '../storage/kept'
import { watch } from './reactive'

export type Theme = 'system' | 'light' | 'dark'

const NAME = 'sandle.theme' // public/theme.js reads it before the first paint

/** The theme, kept on this device; `system` leaves the choice to the browser. */
export function createTheme(): Signal<Theme> {
  const chosen = document.documentElement.dataset.theme
  const theme = signal<Theme>(chosen === 'light' || chosen === 'dark' ? chosen : 'system')
  watch(() => theme.value, (value) => {
    if (value === 'system') delete document.documentElement.dataset.theme
    else document.documentElement.dataset.theme = value
    keep('device', NAME, value)
  })
  return theme
}
