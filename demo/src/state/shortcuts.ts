export interface Shortcuts {
  generate: () => void
  stop: () => void
  redoPrevious: () => void
  help: () => void
  stepBranch: (by: -1 | 1) => void
  stepFork: (by: -1 | 1) => void
}

/** There Alt with an arrow moves the caret by words. */
const isMac = typeof navigator !== 'undefined' && /Mac|iPhone|iPad/.test(navigator.platform)

function isWriting(target: EventTarget | null): boolean {
  return target instanceof HTMLElement && target.matches('textarea, select, input:not([type=radio], [type=checkbox], [type=range], [type=button])')
}

/** The keys that work anywhere on the page. An open dialog keeps its own keys, Escape above all. */
export function listenForShortcuts(actions: Shortcuts): void {
  function onKeydown(event: KeyboardEvent): void {
    if (event.defaultPrevented || event.isComposing || event.repeat || document.querySelector('dialog[open]')) return
    const action = actionFor(event)
    if (!action) return
    event.preventDefault()
    action()
  }

  function actionFor(event: KeyboardEvent): (() => void) | null {
    const hasCommand = event.ctrlKey || event.metaKey
    if (event.key === 'Enter' && hasCommand && !event.altKey) return actions.generate
    if (event.key === 'Escape' && !hasCommand && !event.altKey) return actions.stop
    if (event.code === 'KeyR' && event.altKey && !hasCommand) return actions.redoPrevious
    const isTreeKey = event.altKey && !hasCommand && !event.shiftKey && !(isMac && isWriting(event.target))
    if (isTreeKey && (event.key === 'ArrowLeft' || event.key === 'ArrowRight')) return () => actions.stepBranch(event.key === 'ArrowLeft' ? -1 : 1)
    if (isTreeKey && (event.key === 'ArrowUp' || event.key === 'ArrowDown')) return () => actions.stepFork(event.key === 'ArrowUp' ? -1 : 1)
    if (event.key === '?' && !hasCommand && !isWriting(event.target)) return actions.help
    return null
  }

  document.addEventListener('keydown', onKeydown)
}
