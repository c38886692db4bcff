"""The gateways that are measured, and what stands behind and before them: how each is started and known to be ready."""

import contextlib
import os
import shutil
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import requests

from bench.gateway_backend import MODEL
from bench.processes import ProcessTree
from bench.servers import ROOT, ServerError, free_port

KEY = 'sk-bench-0123456789abcdef'
DIRECT, NGINX, OURS, FLASK, LITELLM = 'no gateway', 'nginx', 'wrapper', 'Flask + requests', 'LiteLLM'
READY_TIMEOUT_S = 120.0
LOG_CHARACTERS = 2000
PROGRAMS = os.environ.get('PATH', '') + ':/usr/sbin:/usr/local/sbin'
TEMPORARY = ('client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi')
CONNECTIONS = 8192
ANSWER = ('{"id":"cmpl-0123456789abcdef01234567","object":"text_completion","created":1700000000,"model":"%s",'
          '"system_fingerprint":"fp_bench","choices":[{"text":" world!","index":0,"logprobs":null,'
          '"finish_reason":"stop"}],"usage":{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3}}' % MODEL)
LISTING = ('{"object":"list","data":[{"id":"%s","object":"model","created":0,"owned_by":"bench","root":"%s",'
           '"description":"","max_model_len":4096,"status":"ready","capabilities":[]}]}' % (MODEL, MODEL))
BACKEND_LOCATIONS = f"""
    default_type application/json;
    location = /v1/completions {{ return 200 '{ANSWER}'; }}
    location = /v1/models {{ return 200 '{LISTING}'; }}
    location = /ready {{ return 200 '{{}}'; }}
"""


@dataclass(frozen=True, slots=True)
class Gateway:
    """Something that answers completions."""

    name: str
    url: str
    processes: ProcessTree


@contextlib.contextmanager
def started(name: str, command: Sequence[str], port: int, ready_path: str, folder: Path) -> Iterator[Gateway]:
    """Runs a server, from when it is ready until the end. Raises ServerError."""
    kept = {variable: value for variable, value in os.environ.items() if not variable.startswith('SANDLE_')}
    processes = ProcessTree(command, {**kept, 'PYTHONUNBUFFERED': '1'}, folder / f'{name}.log')
    try:
        url = f'http://127.0.0.1:{port}'
        _wait_until_ready(name, url + ready_path, processes)
        yield Gateway(name, url, processes)
    finally:
        processes.stop()


def _wait_until_ready(name: str, url: str, processes: ProcessTree) -> None:
    with requests.Session() as session:
        session.trust_env = False
        while time.perf_counter() - processes.started_s < READY_TIMEOUT_S and not processes.has_ended():
            with contextlib.suppress(requests.RequestException):
                if session.get(url, timeout=5).status_code < 500:
                    return
            time.sleep(0.1)  # between two looks
    raise ServerError(f'{name} did not become ready\n{processes.log.read_text("utf-8", "replace")[-LOG_CHARACTERS:]}')


@contextlib.contextmanager
def nginx(name: str, http_block: str, port: int, folder: Path) -> Iterator[Gateway]:
    """Runs nginx, one worker, with what stands in its `http` block. Raises ServerError."""
    program = shutil.which('nginx', path=PROGRAMS)
    if program is None:
        raise ServerError('nginx is not installed')
    own = folder / name.replace(' ', '-')
    own.mkdir()
    user = 'user root;' if os.geteuid() == 0 else ''
    paths = ' '.join(f'{each}_temp_path {own}/{each};' for each in TEMPORARY)
    (own / 'nginx.conf').write_text(
        f'{user} daemon off; error_log stderr warn; pid {own}/pid; worker_rlimit_nofile {2 * CONNECTIONS};\n'
        f'events {{ worker_connections {CONNECTIONS}; }}\n'
        f'http {{ access_log off; keepalive_requests 10000000; {paths}\n{http_block}\n}}\n', 'utf-8')
    with started(name, [program, '-p', str(own), '-c', str(own / 'nginx.conf')], port, '/ready', folder) as gateway:
        yield gateway


def small_backend(folder: Path) -> contextlib.AbstractContextManager[Gateway]:
    """The backend of small requests: nginx with one constant answer, the quickest thing at hand."""
    port = free_port()
    return nginx(DIRECT, f'server {{ listen 127.0.0.1:{port} backlog=4096; {BACKEND_LOCATIONS} }}', port, folder)


def plain_nginx(backend: Gateway, folder: Path) -> contextlib.AbstractContextManager[Gateway]:
    """nginx that passes everything on, over connections that it keeps."""
    port = free_port()
    return nginx(NGINX, f'upstream backend {{ server {backend.url[7:]}; keepalive 256; }}\n'
                        f'server {{ listen 127.0.0.1:{port} backlog=4096; location / {{ proxy_pass http://backend; '
                        'proxy_http_version 1.1; proxy_set_header Connection ""; } }', port, folder)


def demo_nginx(wrapper: Gateway, folder: Path) -> contextlib.AbstractContextManager[Gateway]:
    """The nginx of demo/, as its image configures it, in front of the wrapper."""
    port = free_port()
    text = (ROOT / 'demo/nginx/default.conf.template').read_text('utf-8')
    for variable, value in {'SANDLE_LISTEN': f'127.0.0.1:{port} backlog=4096', 'SANDLE_ROOT': str(folder),
                            'SANDLE_UPSTREAM': wrapper.url[7:], 'NGINX_LOCAL_RESOLVERS': '127.0.0.1'}.items():
        text = text.replace(f'${{{variable}}}', value)
    return nginx('demo', text, port, folder)


def wrapper(backend: Gateway, folder: Path, *options: str) -> contextlib.AbstractContextManager[Gateway]:
    """This repository's gateway."""
    port = free_port()
    return started(OURS, [sys.executable, str(ROOT / 'openai-wrapper/serve-openai-wrapper.py'), '--port', str(port),
                          '--backend', backend.url, '--auth-token', KEY, *options], port, '/ready', folder)


def plain_flask(backend: Gateway, folder: Path) -> contextlib.AbstractContextManager[Gateway]:
    """Flask and requests, without anything else."""
    port = free_port()
    return started(FLASK, [sys.executable, str(ROOT / 'bench/gateway_flask.py'), '--port', str(port),
                           '--backend', backend.url], port, '/health', folder)


def litellm(venv: Path, backend: Gateway, folder: Path) -> contextlib.AbstractContextManager[Gateway]:
    """LiteLLM's proxy with one key, one model and no database."""
    port = free_port()
    (folder / 'litellm.yaml').write_text(
        f'model_list: [{{model_name: {MODEL}, litellm_params: {{model: text-completion-openai/{MODEL}, '
        f'api_base: "{backend.url}/v1", api_key: none}}}}]\n'
        f'general_settings: {{master_key: {KEY}}}\nlitellm_settings: {{telemetry: false}}\n', 'utf-8')
    return started(LITELLM, [str(venv / 'bin/litellm'), '--config', str(folder / 'litellm.yaml'),
                             '--host', '127.0.0.1', '--port', str(port)], port, '/health/liveliness', folder)


def stream_backend(folder: Path, tokens: int, interval_s: float) -> contextlib.AbstractContextManager[Gateway]:
    """The backend of streams."""
    port = free_port()
    return started('stream backend', [sys.executable, str(ROOT / 'bench/gateway_backend.py'), '--port', str(port),
                                      '--tokens', str(tokens), '--interval-s', str(interval_s)],
                   port, '/ready', folder)
