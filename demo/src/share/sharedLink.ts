import { effect } from '@preact/signals-core'

import { editText } from '../document/edit'
import { emptyTree } from '../document/tree'
import { shareWords as t } from '../i18n/share'
import type { Sessions } from '../sessions/sessions'
import type { Sandbox } from '../state/sandbox'
import { PackError } from './codec'
import { isShared, readLink } from './link'

type Parts = Pick<Sandbox, 'document' | 'settings' | 'run' | 'models'>

/** Waits until `isTrue()`, a reactive condition. */
function until(isTrue: () => boolean): Promise<void> {
  return new Promise((resolve) => {
    const stop = effect(() => {
      if (!isTrue()) return
      resolve()
      queueMicrotask(() => stop()) // an effect runs before `stop` is known
    })
  })
}

/**
 * Opens the link in the address bar, at the start and whenever one is pasted there. What it carries becomes a session of its own;
 * nothing runs, and the text before is kept and can be put back. The address is cleaned at once: a reload must not open the link over later work.
 */
export function followSharedLinks({ document: doc, settings, run, models }: Parts, sessions: Pick<Sessions, 'begin'>): void {
  let newest = 0

  async function open(): Promise<void> {
    const { hash, pathname, search } = window.location
    if (!isShared(hash)) return
    history.replaceState(null, '', pathname + search)
    const mine = newest += 1
    try {
      const { text, settings: { model, ...others } } = await readLink(hash)
      run.stop()
      await until(() => !run.isRunning.value)
      await sessions.begin()
      if (mine !== newest) return
      show(text, others)
      await until(() => models.list.value.length > 0) // they may come later, when the key has been entered
      if (mine === newest) choose(model)
    } catch (error) {
      run.complain(error instanceof PackError && error.reason === 'large' ? t.tooLargeToOpen : t.broken)
    }
  }

  function show(text: string, others: object): void {
    run.dismiss()
    doc.replace({ ...editText(emptyTree(), text), past: [], typing: null })
    Object.assign(settings, others)
    run.status.value = t.opened
  }

  function choose(model: string): void {
    if (models.list.value.some(({ id }) => id === model)) settings.model = model
    else if (model !== '') run.status.value = t.unknownModel(model)
  }

  void open()
  window.addEventListener('hashchange', open)
}
