import { createApp } from 'vue'

import App from './App.vue'
import { loadSaved } from './document/store'
import { followLanguage, initialLanguage, useLanguage } from './i18n/catalogue'
import './styles/base.css'
import './styles/controls.css'
import './styles/layout.css'
import './styles/tree.css'
import './styles/compare.css'
import './styles/tokens.css'
import './styles/share.css'
import './styles/usage.css'

/** A storage that does not answer must not keep the page from opening. */
const PATIENCE_MS = 1500

/** Not awaited at the top: what is fetched later imports from this file, and would wait for it. */
async function open(): Promise<void> {
  const saved = await Promise.race([loadSaved(), new Promise<null>((resolve) => setTimeout(resolve, PATIENCE_MS, null))])
  await useLanguage(initialLanguage()).catch((error: unknown) => console.warn('The page stays in English:', error))
  followLanguage()
  createApp(App, { saved }).mount('#app')
}

void open()
