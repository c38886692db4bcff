import { createApp } from 'vue'

import App from './App.vue'
import { loadSaved } from './document/store'
import { followLanguage } from './i18n/catalogue'
import './styles/base.css'
import './styles/controls.css'
import './styles/layout.css'
import './styles/tree.css'
import './styles/compare.css'
import './styles/tokens.css'
import './styles/share.css'

/** A storage that does not answer must not keep the page from opening. */
const PATIENCE_MS = 1500

const saved = await Promise.race([loadSaved(), new Promise<null>((resolve) => setTimeout(resolve, PATIENCE_MS, null))])
followLanguage()
createApp(App, { saved }).mount('#app')
