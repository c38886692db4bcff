import { bodyOf, type CompletionRequest } from '../api/request'

/** The exact request of the page as code to paste elsewhere. The key is always the variable SANDLE_API_KEY. */

/** Arguments that openai-python takes by name; the others go into `extra_body`. */
const PYTHON_ARGUMENTS: readonly string[] = [
  'model', 'prompt', 'max_tokens', 'temperature', 'top_p', 'n', 'stop', 'seed', 'suffix', 'logprobs', 'echo',
  'presence_penalty', 'frequency_penalty', 'stream', 'stream_options',
]

/** Quoted for a POSIX shell: nothing is special between single quotes but the quote itself. */
export function shellQuote(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`
}

export function curlSnippet(request: CompletionRequest, origin: string): string {
  return [
    `curl -N ${shellQuote(`${origin}/v1/completions`)} \\`,
    '  -H "Authorization: Bearer $SANDLE_API_KEY" \\',
    "  -H 'Content-Type: application/json' \\",
    `  -d ${shellQuote(bodyOf(request))}`,
  ].join('\n')
}

/** A JSON value as a Python literal. */
function pythonLiteral(value: unknown): string {
  if (value === true) return 'True'
  if (value === false) return 'False'
  if (value === null || value === undefined) return 'None'
  if (Array.isArray(value)) return `[${value.map(pythonLiteral).join(', ')}]`
  if (typeof value === 'object') return `{${Object.entries(value).map(([name, each]) => `${pythonLiteral(name)}: ${pythonLiteral(each)}`).join(', ')}}`
  return JSON.stringify(value) // a JSON string or number is a Python one too
}

export function pythonSnippet(request: CompletionRequest, origin: string): string {
  const entries = Object.entries(request)
  const named = entries.filter(([name]) => PYTHON_ARGUMENTS.includes(name)).map(([name, value]) => `    ${name}=${pythonLiteral(value)},`)
  const extra = Object.fromEntries(entries.filter(([name]) => !PYTHON_ARGUMENTS.includes(name)))
  if (Object.keys(extra).length > 0) named.push(`    extra_body=${pythonLiteral(extra)},`)
  return [
    'import os',
    '',
    'from openai import OpenAI',
    '',
    `client = OpenAI(base_url=${pythonLiteral(`${origin}/v1`)}, api_key=os.environ["SANDLE_API_KEY"])`,
    'stream = client.completions.create(',
    ...named,
    ')',
    'for chunk in stream:',
    '    for choice in chunk.choices:',
    '        print(choice.text, end="", flush=True)',
    'print()',
  ].join('\n')
}
