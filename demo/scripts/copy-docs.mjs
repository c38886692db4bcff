// Puts the API's documentation beside the page: dist/docs/ = ../docs (our text) + Swagger UI (from npm).
import { copyFileSync, existsSync, mkdirSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const demo = join(dirname(fileURLToPath(import.meta.url)), '..')
const ours = join(demo, '..', 'docs')
const swaggerUi = dirname(createRequire(import.meta.url).resolve('swagger-ui-dist/package.json'))
const target = join(demo, 'dist', 'docs')

mkdirSync(target, { recursive: true })
for (const name of ['index.html', 'swagger-init.js', 'docs.css', 'swagger.yaml']) {
  const from = join(ours, name)
  if (existsSync(from)) copyFileSync(from, join(target, name))
  else console.warn(`copy-docs: docs/${name} is missing; /docs/ will lack it`)
}
for (const name of ['swagger-ui.css', 'swagger-ui-bundle.js']) copyFileSync(join(swaggerUi, name), join(target, name))
