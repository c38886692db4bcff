// Fails the build when the page grows beyond its budget, gzipped: what a browser fetches to open the page and write on it, and all of it
// with the panels and the languages that come later. /docs/ is Swagger UI and not counted.
import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { gzipSync } from 'node:zlib'

const dist = join(dirname(fileURLToPath(import.meta.url)), '..', 'dist')
const assets = join(dist, 'assets')
const html = readFileSync(join(dist, 'index.html'), 'utf8')

const sizeOf = (name) => gzipSync(readFileSync(join(assets, name))).length

/** A script and the scripts that it imports at once; `import('…')` is for later. */
function withImports(name, found = new Set()) {
  if (found.has(name)) return found
  found.add(name)
  const code = readFileSync(join(assets, name), 'utf8')
  for (const [, imported] of code.matchAll(/(?:\bfrom|\bimport)\s*["']\.\/([^"']+)["']/g)) withImports(imported, found)
  return found
}

const [entry] = html.match(/(?<=src="\/assets\/)[^"]+\.js/) ?? []
if (!entry) throw new Error('dist/index.html names no script')
const scripts = readdirSync(assets).filter((name) => name.endsWith('.js'))
const styles = readdirSync(assets).filter((name) => name.endsWith('.css'))
if (styles.length === 0) throw new Error('dist/assets holds no .css file')

const BUDGETS = [
  { what: 'JS to open the page', files: [...withImports(entry)], limitKb: 60 },
  { what: 'JS in all, with every panel and language', files: scripts, limitKb: 90 },
  { what: 'CSS', files: styles, limitKb: 12 },
]
let isOver = false
for (const { what, files, limitKb } of BUDGETS) {
  const kb = files.reduce((sum, name) => sum + sizeOf(name), 0) / 1000
  isOver ||= kb > limitKb
  console.log(`${what}: ${kb.toFixed(1)} kB of ${limitKb} kB gzipped${kb > limitKb ? ' TOO MUCH' : ''}`)
}
if (isOver) process.exit(1)
