import { readFileSync } from 'node:fs'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { extname, join, normalize } from 'node:path'

import { answer, render } from './scenarios'
import { promptText } from './scripted-tokens'

/**
 * An API that does what the prompt says (see scenarios.ts): the faults that a well-behaved stack does not show. Tests in the same process
 * read what it was asked. nginx stands before it; where there is none, it serves the built page itself under nginx's headers.
 */
export const KEY = 'scripted-key_1'

const DIST = join(import.meta.dirname, '..', 'dist')
const TEMPLATE = readFileSync(join(import.meta.dirname, '..', 'nginx', 'default.conf.template'), 'utf8')
const TYPES: Readonly<Record<string, string>> = {
  '.html': 'text/html; charset=utf-8', '.js': 'text/javascript', '.css': 'text/css', '.svg': 'image/svg+xml', '.yaml': 'application/yaml',
}

function policy(kind: 'page' | 'docs'): string {
  const found = new RegExp(`^\\s+${kind} "(default-src[^"]+)"`, 'm').exec(TEMPLATE)?.[1]
  if (!found) throw new Error(`nginx's template names no policy for ${kind}`)
  return found
}

export interface Asked {
  body: Record<string, unknown>
  /** The body as it came. */
  raw: string
  authorization: string | undefined
  /** Whether the client left before the end of the answer. */
  isAborted: boolean
}

export class ScriptedServer {
  readonly asked: Asked[] = []
  /** The bodies of the questions for a prompt. */
  readonly rendered: Record<string, unknown>[] = []
  /** How often the models were asked for. */
  modelRequests = 0
  models = initialModels()
  /** Whether the scenarios that wait for the test's word (`held` in scenarios.ts) still do. */
  isHeld = true
  /** What the scenario `queued` has still to tell. */
  places = [12]
  /** Answers the question for the usage; without it the server counts none, and does not know the address. */
  usage: ((response: ServerResponse) => void) | null = null
  private readonly server = createServer((request, response) => void this.serve(request, response))

  /** Gives the port it listens on. */
  async start(): Promise<number> {
    await new Promise<void>((resolve) => this.server.listen(0, '127.0.0.1', resolve))
    return (this.server.address() as AddressInfo).port
  }

  /** Forgets what a test has done to it. */
  reset(): void {
    this.asked.length = 0
    this.rendered.length = 0
    this.models = initialModels()
    this.usage = null
    this.isHeld = true
    this.places = [12]
  }

  async stop(): Promise<void> {
    this.server.closeAllConnections()
    await new Promise((resolve) => this.server.close(resolve))
  }

  private async serve(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const path = new URL(request.url ?? '/', 'http://x').pathname
    response.setHeader('x-request-id', 'req-scripted')
    if (!path.startsWith('/v1/')) return this.file(path, response)
    if (request.headers.authorization !== `Bearer ${KEY}`) return error(response, 401, 'Incorrect API key provided.', null, 'invalid_api_key')
    if (path === '/v1/models') {
      this.modelRequests += 1
      return json(response, 200, { object: 'list', data: this.models })
    }
    if (path === '/v1/usage') return this.usage ? this.usage(response) : error(response, 404, 'Invalid URL (GET /v1/usage)')
    const raw = await textOf(request)
    const body = JSON.parse(raw) as Record<string, unknown>
    if (path === '/v1/chat/completions/render') {
      this.rendered.push(body)
      return render(body, response, this)
    }
    await this.complete(raw, body, request, response)
  }

  private async complete(raw: string, body: Record<string, unknown>, request: IncomingMessage, response: ServerResponse): Promise<void> {
    const asked: Asked = { body, raw, authorization: request.headers.authorization, isAborted: false }
    this.asked.push(asked)
    response.on('close', () => { asked.isAborted = !response.writableEnded })
    await answer(body, promptText(body.prompt), response, this)
  }

  private file(path: string, response: ServerResponse): void {
    const name = path.endsWith('/') ? `${path}index.html` : path
    try {
      const bytes = readFileSync(join(DIST, normalize(name)))
      response.writeHead(200, {
        'Content-Type': TYPES[extname(name)] ?? 'application/octet-stream',
        'Content-Security-Policy': policy(path.startsWith('/docs/') ? 'docs' : 'page'),
        'X-Content-Type-Options': 'nosniff',
      })
      response.end(bytes)
    } catch {
      error(response, 404, `Invalid URL (GET ${path})`)
    }
  }
}

async function textOf(request: IncomingMessage): Promise<string> {
  const pieces: Buffer[] = []
  for await (const piece of request) pieces.push(piece as Buffer)
  return Buffer.concat(pieces).toString()
}

const ABLE = ['n', 'seed', 'top_k', 'min_p', 'presence_penalty', 'frequency_penalty', 'repetition_penalty', 'suffix', 'logprobs', 'echo', 'return_token_ids']

function initialModels(): Record<string, unknown>[] {
  return [
    model('scripted', 'ready', [...ABLE, 'chat']),
    model('org/wordy', 'ready', ABLE.filter((name) => name !== 'return_token_ids')),
    model('org/plain', 'available', []),
  ]
}

function model(id: string, status: string, capabilities: string[]): Record<string, unknown> {
  return { id, object: 'model', created: 0, owned_by: 'test', description: '', max_model_len: 32_768, status, capabilities }
}

export function json(response: ServerResponse, status: number, body: unknown, headers: Record<string, string> = {}): void {
  response.writeHead(status, { 'Content-Type': 'application/json', ...headers })
  response.end(JSON.stringify(body))
}

export function error(response: ServerResponse, status: number, message: string, param: string | null = null, code: string | null = null, headers: Record<string, string> = {}): void {
  json(response, status, { error: { message, type: 'invalid_request_error', param, code } }, headers)
}
