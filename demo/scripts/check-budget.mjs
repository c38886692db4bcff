// Fails the build when the page grows beyond its budget, gzipped: all its scripts together; what a browser fetches of them to open the
// page and write on it, with index.html and the English words in it; and each other language. /docs/ is Swagger UI and not counted.
import { readdirSync, readFileSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { gzipSync } from 'node:zlib'

const dist = join(dirname(fileURLToPath(import.meta.url)), '..', 'dist')
const assets = join(dist, 'assets')
const html = readFileSync(join(dist, 'index.html'), 'utf8')

const sizeOf = (path) => gzipSync(readFileSync(path)).length
const named = (folder, ending) => readdirSync(folder).filter((name) => name.endsWith(ending)).map((name) => join(folder, name))

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
const before = named(dist, '.js') // what index.html runs before the first paint
const scripts = named(assets, '.js')
const styles = named(assets, '.css')
const languages = named(assets, '.json')
if (styles.length === 0) throw new Error('dist/assets holds no .css file')

const BUDGETS = [
  { what: 'JS in all', files: [...before, ...scripts], limitKb: 60 },
  { what: 'To open the page, its words and JS', files: [join(dist, 'index.html'), ...before, ...[...withImports(entry)].map((name) => join(assets, name))], limitKb: 45 },
  { what: 'CSS', files: styles, limitKb: 12 },
  ...languages.map((path) => ({ what: `The words in ${basename(path)}`, files: [path], limitKb: 9 })),
]
let isOver = false
for (const { what, files, limitKb } of BUDGETS) {
  const kb = files.reduce((sum, path) => sum + sizeOf(path), 0) / 1000
  isOver ||= kb > limitKb
  console.log(`${what}: ${kb.toFixed(1)} kB of ${limitKb} kB gzipped${kb > limitKb ? ' TOO MUCH' : ''}`)
}
if (isOver) process.exit(1)
