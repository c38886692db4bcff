import { useSignal } from '@preact/signals'
import type { VNode } from 'preact'
import { useEffect, useLayoutEffect, useMemo, useRef } from 'preact/hooks'

import { ActionBar } from './components/ActionBar'
import { AppHeader } from './components/AppHeader'
import { ErrorAlert } from './components/ErrorAlert'
import { FetchedPart } from './components/FetchedPart'
import { fetchParts, type Part } from './components/panels'
import { Rail } from './components/Rail'
import { SandboxContext } from './components/sandboxContext'
import { TabBar } from './components/TabBar'
import { WritePanel } from './components/WritePanel'
import { failures } from './i18n/failures'
import { tabs } from './i18n/page'
import { Commands } from './state/commands'
import { TABS, type Sandbox } from './state/sandbox'
import { listenForShortcuts } from './state/shortcuts'
import { followWidth } from './state/wide'

const FIELD_IDS: Readonly<Record<string, string>> = { model: 'model', prompt: 'prompt', key: 'field-key' }

/** The page: joins the state to the components. */
export function App({ sandbox }: { sandbox: Sandbox }): VNode {
  const { run, models, tab } = sandbox
  const commands = useMemo(() => new Commands(sandbox), [])
  const isWide = useMemo(followWidth, [])
  const sheet = useRef<HTMLDialogElement>(null)
  /** The dialog that was asked for last. */
  const dialog = useSignal<{ part: Part; key: number } | null>(null)
  const openDialog = (part: Part): void => { dialog.value = { part, key: (dialog.value?.key ?? 0) + 1 } }

  /** Brings the field that an error is about into sight and focus. */
  function focusField(name: string): void {
    const field = document.getElementById(FIELD_IDS[name] ?? `field-${name}`)
    field?.closest('details')?.setAttribute('open', '')
    if (!isWide.value && sheet.current?.contains(field) && !sheet.current.open) sheet.current.showModal()
    field?.focus()
  }

  const failure = run.failure.value
  useLayoutEffect(() => {
    if (failure?.status === 401) focusField('key')
    else if (failure?.status === 400 && failure.param) focusField(/^\w+/.exec(failure.param)?.[0] ?? '')
  }, [failure])

  useEffect(() => {
    fetchParts()
    listenForShortcuts({
      generate: () => { if (!run.isRunning.value) commands.start('generate') },
      stop: () => run.stop(),
      redoPrevious: () => { if (!run.isRunning.value && sandbox.document.canRedoRun.value) commands.start('redoPrevious') },
      help: () => openDialog('Help'),
      stepBranch: (by) => commands.stepBranch(by),
      stepFork: (by) => commands.stepFork(by),
    })
  }, [])

  return (
    <SandboxContext.Provider value={sandbox}>
      <AppHeader
        models={models} isWide={isWide.value} onUnfetched={() => run.complain(failures.offline)} onHelp={() => openDialog('Help')} onShare={() => openDialog('Share')}
        onParameters={() => sheet.current?.showModal()} />
      <div class="desk">
        <main>
          <TabBar tabs={TABS} labels={tabs} chosen={tab} />
          <WritePanel isShown={tab.value === 'Write'} />
          {tab.value !== 'Write' && (
            <div id={`panel-${tab.value}`} key={tab.value} class="panel" role="tabpanel" aria-labelledby={`tab-${tab.value}`}>
              <FetchedPart part={tab.value} onClose={() => { tab.value = 'Write' }} />
            </div>
          )}
          <div class="foot">
            {dialog.value && <FetchedPart key={dialog.value.key} part={dialog.value.part} onClose={() => { dialog.value = null }} />}
            <ErrorAlert
              failure={failure} canContinue={run.canContinue.value} waitS={run.waitS.value} onRetry={() => commands.start('retry')} onResume={() => commands.start('resume')}
              onDismiss={() => commands.dismiss()} />
            <ActionBar commands={commands} />
          </div>
        </main>
        <Rail isWide={isWide.value} sheet={sheet} commands={commands} onDialog={openDialog} />
      </div>
    </SandboxContext.Provider>
  )
}
