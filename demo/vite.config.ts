import vue from '@vitejs/plugin-vue'
import { loadEnv } from 'vite'
import { defineConfig } from 'vitest/config'

/** Paths that belong to the API or to its documentation; the page's own origin serves everything else. */
const PROXIED = ['/v1', '/m/', '/health', '/ready', '/tokenize', '/detokenize', '/tokenizer_info', '/docs']

/** The panels and dialogs with what is theirs alone: fetched once the page is open, in one file, which compresses better than several. */
const LATER = /\/src\/(components\/((Token|Tree|Compare|Code)Panel|\w+Dialog|DialogFrame|tokens\/|tree\/|compare\/|usage\/)|tokens\/|tree\/|compare\/|code\/|usage\/|i18n\/(tokens|tree|compare|code|help|usage))/

/** A language, fetched when it is chosen. */
const LANGUAGE = /\/src\/i18n\/fr\//

export default defineConfig(({ mode }) => {
  const target = loadEnv(mode, process.cwd(), 'VITE_').VITE_SANDLE_URL ?? 'http://127.0.0.1:8080'
  return {
    plugins: [vue({ features: { optionsAPI: false } })],
    server: {
      host: '127.0.0.1',
      proxy: Object.fromEntries(PROXIED.map((path) => [path, { target, changeOrigin: true }])),
    },
    build: {
      target: 'es2022',
      // Data URIs would need `img-src data:`; every asset is a file of this origin.
      assetsInlineLimit: 0,
      modulePreload: false,
      rolldownOptions: {
        output: {
          // What opens the page is one file, too; left to itself it would fall into five, each compressed by itself.
          codeSplitting: {
            groups: [
              { name: 'page', test: (id: string) => !LATER.test(id) && !LANGUAGE.test(id) },
              { name: 'later', test: LATER },
            ],
          },
        },
      },
    },
    test: { include: ['src/**/*.spec.ts'], environment: 'node' },
  }
})
