import { execFileSync, spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { delimiter, dirname, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'

/** The nginx that stands before the API in every deployment, here before the scripted server: the same template, filled in as run-local.bash does. */

const DEMO = join(import.meta.dirname, '..')
const TEMPLATE = join(DEMO, 'nginx', 'default.conf.template')
const START_LIMIT_MS = 10_000

/** The path of the nginx that is installed; null when there is none. */
export function findNginx(): string | null {
  const folders = [...(process.env.PATH ?? '').split(delimiter), '/usr/sbin', '/usr/local/sbin', '/sbin']
  return folders.map((folder) => join(folder, 'nginx')).find((path) => existsSync(path)) ?? null
}

async function freePort(): Promise<number> {
  const probe = createServer().listen(0, '127.0.0.1')
  await once(probe, 'listening')
  const { port } = probe.address() as AddressInfo
  probe.close()
  await once(probe, 'close')
  return port
}

/** Where this build of nginx keeps its mime.types. */
function mimeTypes(nginx: string): string {
  const built = execFileSync('sh', ['-c', '"$0" -V 2>&1', nginx], { encoding: 'utf8' })
  return join(dirname(/--conf-path=(\S+)/.exec(built)?.[1] ?? '/etc/nginx/nginx.conf'), 'mime.types')
}

function configure(folder: string, nginx: string, port: number, upstreamPort: number): void {
  const values: Readonly<Record<string, string>> = {
    SANDLE_LISTEN: `127.0.0.1:${port}`, SANDLE_ROOT: join(DEMO, 'dist'), SANDLE_UPSTREAM: `127.0.0.1:${upstreamPort}`, NGINX_LOCAL_RESOLVERS: '127.0.0.1',
  }
  const server = readFileSync(TEMPLATE, 'utf8').replace(/\$\{(\w+)\}/g, (whole, name: string) => values[name] ?? whole)
  writeFileSync(join(folder, 'server.conf'), server)
  const temporary = ['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((name) => `${name}_temp_path "${folder}/${name}";`).join('\n  ')
  // As root its workers would become somebody else, who may not be let into these folders.
  writeFileSync(join(folder, 'nginx.conf'), `${process.getuid?.() === 0 ? 'user root;' : ''}
worker_processes 1;
daemon off;
error_log stderr crit; # that the scripted server breaks off is no news
pid "${folder}/nginx.pid";
events { worker_connections 512; }
http {
  include "${mimeTypes(nginx)}";
  default_type application/octet-stream;
  access_log off;
  ${temporary}
  include "${folder}/server.conf";
}
`)
}

export interface Front {
  url: string
  stop: () => Promise<void>
}

/** Starts nginx on a free port before the API at `upstreamPort`, serving the built page. */
export async function startNginx(nginx: string, upstreamPort: number): Promise<Front> {
  const folder = mkdtempSync(join(tmpdir(), 'sandle-e2e-'))
  const port = await freePort()
  configure(folder, nginx, port, upstreamPort)
  const child = spawn(nginx, ['-p', folder, '-c', join(folder, 'nginx.conf'), '-e', 'stderr'], { stdio: ['ignore', 'inherit', 'inherit'] })
  const url = `http://127.0.0.1:${port}`
  const stop = async (): Promise<void> => {
    if (child.exitCode === null) {
      child.kill('SIGTERM')
      await once(child, 'exit')
    }
    rmSync(folder, { recursive: true, force: true })
  }
  await waitUntilServing(child, url).catch(async (error: unknown) => {
    await stop()
    throw error
  })
  return { url, stop }
}

async function waitUntilServing(child: ChildProcess, url: string): Promise<void> {
  for (const deadlineMs = Date.now() + START_LIMIT_MS; ;) {
    const isServing = await fetch(url).then(({ ok }) => ok, () => false)
    if (isServing) return
    if (child.exitCode !== null) throw new Error(`nginx ended with ${child.exitCode} instead of serving`)
    if (Date.now() > deadlineMs) throw new Error(`nginx did not serve the page (is demo/dist built?) within ${START_LIMIT_MS} ms`)
    await sleep(50)
  }
}
