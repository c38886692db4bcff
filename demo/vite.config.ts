import { loadEnv } from 'vite'
import { defineConfig } from 'vitest/config'

import { wordsApart } from './scripts/words-apart.ts'

/** Paths that belong to the API or to its documentation; the page's own origin serves everything else. */
const PROXIED = ['/v1', '/m/', '/health', '/ready', '/tokenize', '/detokenize', '/tokenizer_info', '/docs']

/** What is fetched later has no styles or imports of its own to fetch before it: Vite's helper for those is 1 kB for nothing. */
const NO_PRELOAD = {
  name: 'no-preload',
  enforce: 'pre' as const,
  load: (id: string) => (id === '\0vite/preload-helper.js' ? 'export const __vitePreload = (fetchIt) => fetchIt()' : null),
}

export default defineConfig(({ mode }) => {
  const target = loadEnv(mode, process.cwd(), 'VITE_').VITE_SANDLE_URL ?? 'http://127.0.0.1:8080'
  return {
    plugins: [NO_PRELOAD, wordsApart()],
    // The children of an element as arguments instead of as a property: half a kB less than what tsconfig.json has for the types.
    oxc: { jsx: { runtime: 'classic', pragma: '_h', pragmaFrag: '_F' }, jsxInject: "import { h as _h, Fragment as _F } from 'preact'" },
    server: {
      host: '127.0.0.1',
      proxy: Object.fromEntries(PROXIED.map((path) => [path, { target, changeOrigin: true }])),
    },
    build: {
      target: 'es2022',
      // Data URIs would need `img-src data:`; every asset is a file of this origin.
      assetsInlineLimit: 0,
      modulePreload: false,
    },
    test: { include: ['src/**/*.spec.ts'], environment: 'node' },
  }
})
