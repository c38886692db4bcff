import type { ReadonlySignal } from '@preact/signals'
import type { ComponentChildren, VNode } from 'preact'
import { useLayoutEffect, useRef } from 'preact/hooks'

import { countCharacters } from '../document/tree'
import { actions as t } from '../i18n/actions'
import type { Commands } from '../state/commands'
import { Icon, NEXT, PREVIOUS } from './Icon'
import { useSandbox } from './sandboxContext'

const isMac = /Mac|iPhone|iPad/.test(navigator.platform)

/** A button with a picture only. */
function IconButton({ label, hint, line, keys, isOff, onPress }: { label: string; hint: string; line: string; keys?: string; isOff: boolean; onPress: () => void }): VNode {
  return <button type="button" class="icon" aria-label={label} title={hint} aria-keyshortcuts={keys} disabled={isOff} onClick={onPress}><Icon line={line} /></button>
}

/** A button that is disabled by its own press hands the focus to its counterpart, from Undo to Redo, say, or else to the first one. */
function Bar({ children }: { children: ComponentChildren }): VNode {
  const bar = useRef<HTMLDivElement>(null)
  // What has the focus before an update: some browsers take it away as soon as a button is disabled.
  const focused = document.activeElement

  useLayoutEffect(() => {
    if (!(focused instanceof HTMLButtonElement) || !focused.disabled || !bar.current?.contains(focused)) return
    const counterpart = focused.closest('.pair')?.querySelector<HTMLButtonElement>('button:enabled') ?? bar.current.querySelector('button')
    counterpart?.focus()
  })

  // A press on a button leaves the caret in the text.
  return <div ref={bar} class="bar" role="group" aria-label={t.actions} onMouseDown={(event) => event.preventDefault()}>{children}</div>
}

/** Drawn anew only when it says something else: what stands in it is read aloud. */
function Status({ text }: { text: ReadonlySignal<string> }): VNode {
  return <span role="status">{text.value}</span>
}

export function ActionBar({ commands }: { commands: Commands }): VNode {
  const { document: doc, run } = useSandbox()
  const isRunning = run.isRunning.value
  const fork = doc.fork.value

  function onMain(event: MouseEvent): void {
    if (!isRunning) commands.start('generate')
    else if (event.detail < 2) run.stop() // the second click of a double click was meant for Generate
  }

  return (
    <Bar>
      <button type="button" class={isRunning ? 'primary main stop' : 'primary main'} aria-keyshortcuts={isRunning ? 'Escape' : 'Control+Enter Meta+Enter'} onClick={onMain}>
        {isRunning && <Icon><rect x="4" y="4" width="8" height="8" rx="1.5" class="solid" /></Icon>}
        {' '}{isRunning ? t.stop : t.generate}{' '}
        <kbd aria-hidden="true">{isRunning ? 'Esc' : isMac ? '⌘ ↵' : 'Ctrl ↵'}</kbd>
      </button>
      <button type="button" disabled={isRunning || !doc.canRedoRun.value} aria-keyshortcuts="Alt+R" title={t.redoPreviousHint} onClick={() => commands.start('redoPrevious')}>
        {t.redoPrevious}
      </button>
      {run.canReplay.value && <button type="button" disabled={isRunning} title={t.replayHint} onClick={() => commands.start('replay')}>{t.replay}</button>}
      <span class="pair">
        <IconButton label={t.undo} hint={t.undoHint} line="M6 3 2.5 6.5 6 10M3 6.5h6.5a3.5 3.5 0 0 1 0 7H6.5" isOff={isRunning || !doc.canUndo.value} onPress={doc.undo} />
        <IconButton label={t.redo} hint={t.redoHint} line="m10 3 3.5 3.5L10 10M13 6.5H6.5a3.5 3.5 0 0 0 0 7h3" isOff={isRunning || !doc.canRedo.value} onPress={doc.redo} />
      </span>
      {fork && (
        <span class="pair branches">
          <IconButton label={t.previousBranch} hint={t.previousBranchHint} keys="Alt+ArrowLeft" line={PREVIOUS} isOff={isRunning || fork.at === 0} onPress={() => commands.stepBranch(-1)} />
          <span class="count">{fork.at + 1}/{fork.branches.length}</span>
          <IconButton label={t.nextBranch} hint={t.nextBranchHint} keys="Alt+ArrowRight" line={NEXT} isOff={isRunning || fork.at === fork.branches.length - 1} onPress={() => commands.stepBranch(1)} />
        </span>
      )}
      {doc.replaced.value && !isRunning && <button type="button" onClick={doc.putBack}>{t.putBack}</button>}
      <span class="facts">
        <Status text={run.status} />{' '}
        {run.detail.value !== '' && <span class="detail figures">{run.detail.value}</span>}{' '}
        <span class="detail">{t.characters(countCharacters(doc.text.value))}</span>
      </span>
    </Bar>
  )
}
