import { onScopeDispose, ref, type Ref } from 'vue'

/** Whether the window is wide enough for the rail; styles/layout.css has the same width. */
export function useWide(): Ref<boolean> {
  const query = window.matchMedia('(min-width: 992px)')
  const isWide = ref(query.matches)
  const follow = (): void => { isWide.value = query.matches }
  query.addEventListener('change', follow)
  onScopeDispose(() => query.removeEventListener('change', follow))
  return isWide
}
