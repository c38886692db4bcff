import { ref, watch, type Ref } from 'vue'

export type Theme = 'system' | 'light' | 'dark'

const NAME = 'sandle.theme' // public/theme.js reads it before the first paint

/** The theme, kept on this device; `system` leaves the choice to the browser. */
export function useTheme(): Ref<Theme> {
  const chosen = document.documentElement.dataset.theme
  const theme = ref<Theme>(chosen === 'light' || chosen === 'dark' ? chosen : 'system')
  watch(theme, (value) => {
    if (value === 'system') delete document.documentElement.dataset.theme
    else document.documentElement.dataset.theme = value
    try {
      localStorage.setItem(NAME, value)
    } catch {
      // The choice lasts as long as the page.
    }
  })
  return theme
}
