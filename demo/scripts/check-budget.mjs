// Fails the build when the page grows beyond its budget (gzipped; /docs/ is Swagger UI and not counted).
import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { gzipSync } from 'node:zlib'

const assets = join(dirname(fileURLToPath(import.meta.url)), '..', 'dist', 'assets')
const BUDGET_KB = { '.js': 60, '.css': 12 }

let isOver = false
for (const [extension, limit] of Object.entries(BUDGET_KB)) {
  const files = readdirSync(assets).filter((name) => name.endsWith(extension))
  if (files.length === 0) throw new Error(`dist/assets holds no ${extension} file`)
  const bytes = files.reduce((sum, name) => sum + gzipSync(readFileSync(join(assets, name))).length, 0)
  const isTooMuch = bytes > limit * 1000
  isOver ||= isTooMuch
  console.log(`${extension}: ${(bytes / 1000).toFixed(1)} kB of ${limit} kB gzipped${isTooMuch ? ' TOO MUCH' : ''}`)
}
if (isOver) process.exit(1)
