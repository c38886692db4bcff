import { render } from 'preact'

import { App } from './App'
import { loadSaved } from './document/store'
import { followLanguage, initialLanguage, readBuiltIn, setLanguage } from './i18n/catalogue'
import { createSandbox } from './state/sandbox'
import './styles/base.css'
import './styles/controls.css'
import './styles/layout.css'
import './styles/tree.css'
import './styles/compare.css'
import './styles/tokens.css'
import './styles/share.css'
import './styles/chat.css'
import './styles/usage.css'

/** A storage that does not answer must not keep the page from opening. */
const PATIENCE_MS = 1500

/** Not awaited at the top: what is fetched later imports from this file, and would wait for it. */
async function open(): Promise<void> {
  readBuiltIn()
  const saved = await Promise.race([loadSaved(), new Promise<null>((resolve) => setTimeout(resolve, PATIENCE_MS, null))])
  await setLanguage(initialLanguage()).catch((error: unknown) => console.warn('The page stays in English:', error))
  followLanguage()
  render(<App sandbox={createSandbox(saved)} />, document.getElementById('app') as HTMLElement)
}

void open()
