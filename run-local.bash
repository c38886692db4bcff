#!/usr/bin/env bash
# The whole stack on this machine without Docker: a backend, the wrapper and the page, on one port.
#
#   bash run-local.bash                 set up what is missing, start, print the URL and the key; Ctrl+C ends everything
#   bash run-local.bash --setup-only    only make .venv and the built page
#
# Settings, from the environment, named as in Docker:
#   SANDLE_DEMO_PORT (8080)     port of the page and the API
#   SANDLE_HOST (127.0.0.1)     address to listen on; 0.0.0.0 for the whole network
#   SANDLE_BACKEND (hf)         hf, stub, or llama or ct2, which serve sandle-tiny, too, unless SANDLE_LLAMA_BIND_SRC_DIR or
#                               SANDLE_CT2_BIND_SRC_DIR is given
#   SANDLE_AUTH_TOKEN           the API key; without it one is made at the first start and kept in state/
#   SANDLE_SINGLE_MODEL         the one model to offer
#   SANDLE_EMBEDDING_MODEL      a model to offer for embeddings beside it
#   SANDLE_TORCH_INDEX_URL      where PyTorch comes from: its CPU build by default; empty for the Python package index
#   SANDLE_FRONT (auto)         nginx, or wrapper (which then serves the page itself); auto takes nginx if it is installed
# Every other SANDLE_… option of the backend and of the wrapper works too: see their --help.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
python=$root/.venv/bin/python
page=$root/demo/dist
state=$root/state
port=${SANDLE_DEMO_PORT:-8080}
host=${SANDLE_HOST:-127.0.0.1}
backend=${SANDLE_BACKEND:-hf}
front=${SANDLE_FRONT:-auto}
nginx=
nginx_pid=
waiter_pid=
runtime=
wrapper_url=
is_ready=no
pids=()

say() { printf 'sandle: %s\n' "$*" >&2; }
fail() { say "$*"; exit 1; }

set_up() { SANDLE_BACKEND=$backend bash "$root/setup-local.bash"; }

check_settings() {
  case $backend in
    hf | stub | llama | ct2) ;;
    *) fail "SANDLE_BACKEND is '$backend'; it must be hf, stub, llama or ct2" ;;
  esac
  case $front in
    auto | nginx | wrapper) ;;
    *) fail "SANDLE_FRONT is '$front'; it must be auto, nginx or wrapper" ;;
  esac
  if ! [[ $port =~ ^[1-9][0-9]{0,4}$ ]] || ((port > 65535)); then
    fail "SANDLE_DEMO_PORT is '$port'; it must be a port, 1 to 65535"
  fi
  [[ -n ${SANDLE_AUTH_TOKEN-unset} ]] || fail 'SANDLE_AUTH_TOKEN is set but empty; unset it to have a key made'
}

check_port() {
  "$python" - "$host" "$port" <<'PYTHON' || fail "port $port of $host cannot be used (is something running there?): set SANDLE_DEMO_PORT to another"
import socket
import sys

family, *_, address = socket.getaddrinfo(sys.argv[1], int(sys.argv[2]), type=socket.SOCK_STREAM)[0]
listener = socket.socket(family)
listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
try:
    listener.bind(address)
except OSError:
    sys.exit(1)
PYTHON
}

free_ports() { # COUNT: that many free ports of 127.0.0.1, on one line
  "$python" - "$1" <<'PYTHON'
import socket
import sys

sockets = [socket.socket() for _ in range(int(sys.argv[1]))]
for each in sockets:
    each.bind(('127.0.0.1', 0))
print(*(each.getsockname()[1] for each in sockets))
PYTHON
}

start() { # COMMAND...: in the background; its process id is in $started
  # In a process group of its own, so that Ctrl+C reaches this script alone, which then ends its children in order.
  set -m
  "$@" </dev/null &
  set +m
  started=$!
}

start_backend() { # PORT
  local arguments=(--host 127.0.0.1 --port "$1")
  if [[ $backend == llama && -n ${SANDLE_LLAMA_BIND_SRC_DIR:-} ]]; then arguments+=("$SANDLE_LLAMA_BIND_SRC_DIR"); fi
  if [[ $backend == ct2 && -n ${SANDLE_CT2_BIND_SRC_DIR:-} ]]; then arguments+=("$SANDLE_CT2_BIND_SRC_DIR"); fi
  start "$python" "$root/backend-$backend/serve-backend-$backend.py" "${arguments[@]}"
  pids+=("$started")
}

start_wrapper() { # HOST PORT BACKEND_PORT OPTION...
  start "$python" "$root/openai-wrapper/serve-openai-wrapper.py" --host "$1" --port "$2" \
    "--backend-$backend" "http://127.0.0.1:$3" --state-dir "$state" "${@:4}"
  pids+=("$started")
  if [[ -n $nginx ]]; then wrapper_url=http://127.0.0.1:$2; else wrapper_url=$url; fi
}

has_page() { [[ -f $page/index.html ]]; }

choose_front() { # sets nginx to its path, or leaves it empty
  has_page && [[ $front != wrapper ]] || return 0
  nginx=$(PATH=$PATH:/usr/sbin:/usr/local/sbin:/sbin command -v nginx || true)
  [[ -n $nginx || $front == auto ]] || fail 'SANDLE_FRONT is nginx, but nginx was not found'
}

write_nginx_conf() { # UPSTREAM_PORT: the page's own server template inside a minimal nginx.conf, all of it under $runtime
  local mime_types user=
  mime_types=$("$nginx" -V 2>&1 | sed -n 's/.*--conf-path=\([^ ]*\).*/\1/p')
  mime_types=$(dirname "${mime_types:-/etc/nginx/nginx.conf}")/mime.types
  # As root its workers would become somebody else, who may not be let into this folder.
  if ((EUID == 0)); then user='user root;'; fi
  mkdir -p "$runtime/temp"
  cat >"$runtime/nginx.conf" <<CONF
$user
worker_processes auto;
daemon off;
error_log stderr warn;
pid $runtime/nginx.pid;
events { worker_connections 4096; }
http {
    include "$mime_types";
    default_type application/octet-stream;
    access_log off;
    sendfile on;
    client_body_temp_path $runtime/temp/body;
    proxy_temp_path $runtime/temp/proxy;
    fastcgi_temp_path $runtime/temp/fastcgi;
    uwsgi_temp_path $runtime/temp/uwsgi;
    scgi_temp_path $runtime/temp/scgi;
    include "$runtime/server.conf";
}
CONF
  SANDLE_LISTEN=$listen_host:$port SANDLE_ROOT=$page SANDLE_UPSTREAM=127.0.0.1:$1 NGINX_LOCAL_RESOLVERS=127.0.0.1 \
    "$python" -c 'import os, string, sys; sys.stdout.write(string.Template(sys.stdin.read()).safe_substitute(
      {name: os.environ[name] for name in ("SANDLE_LISTEN", "SANDLE_ROOT", "SANDLE_UPSTREAM", "NGINX_LOCAL_RESOLVERS")}))' \
    <"$root/demo/nginx/default.conf.template" >"$runtime/server.conf"
}

start_all() {
  local inner
  read -ra inner <<<"$(free_ports 2)"
  runtime=$(mktemp -d)
  choose_front
  if [[ -n $nginx ]]; then
    write_nginx_conf "${inner[1]}"
    "$nginx" -p "$runtime" -c "$runtime/nginx.conf" -t -q || fail 'nginx refuses its configuration; SANDLE_FRONT=wrapper does without it'
    start_wrapper 127.0.0.1 "${inner[1]}" "${inner[0]}"
  elif has_page; then
    start_wrapper "$host" "$port" "${inner[0]}" --page-dir "$page"
  else
    start_wrapper "$host" "$port" "${inner[0]}"
  fi
  start_backend "${inner[0]}"
  [[ -n $nginx ]] || return 0
  start "$nginx" -p "$runtime" -c "$runtime/nginx.conf"
  nginx_pid=$started
}

wait_until_ready() { # sets is_ready to whether it came about; a model may take its time, and the page tells
  local limit_s=20 status
  say "starting backend-$backend"
  # In the background, because a signal is handled while bash waits for a child but not while it runs one.
  "$python" - "$limit_s" "$wrapper_url" "$url" "${pids[@]}" $nginx_pid <<'PYTHON' &
import os
import sys
import time
import urllib.request

limit_s, wrapper, front = float(sys.argv[1]), *sys.argv[2:4]
opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
# The wrapper first, because nginx would log every vain attempt.
waiting = [f'{wrapper}/health', f'{front}/health', f'{front}/ready']
deadline_s = None
while waiting:
    try:
        with opener.open(waiting[0], timeout=3) as response:
            response.read()
        del waiting[0]
        continue
    except OSError:
        time.sleep(0.1)
    for pid in sys.argv[4:]:
        try:
            os.kill(int(pid), 0)
        except ProcessLookupError:
            sys.exit(1)
    if len(waiting) == 1:
        deadline_s = deadline_s or time.monotonic() + limit_s
        if time.monotonic() >= deadline_s:
            sys.exit(3)
PYTHON
  waiter_pid=$!
  wait "$waiter_pid" && status=0 || status=$?
  waiter_pid=
  case $status in
    0) is_ready=yes ;;
    3) is_ready=no ;;
    *) fail 'a part of the stack ended before it was ready; its last lines are above' ;;
  esac
}

announce() {
  local key
  if [[ -n ${SANDLE_AUTH_TOKEN:-} ]]; then
    key=$SANDLE_AUTH_TOKEN
  elif [[ -n ${SANDLE_AUTH_TOKEN_FILE:-} ]]; then
    key="any of those in $SANDLE_AUTH_TOKEN_FILE"
  else
    key=$(cat "$state/generated-key")
  fi
  if [[ $is_ready == yes ]]; then
    printf '\nSandle is ready.\n'
  else
    printf '\nSandle is up, but its model is not ready yet. What happens is told above and on the page.\n'
  fi
  printf '  URL:  %s/\n  key:  %s\n\n' "$url" "$key"
  say 'Ctrl+C ends everything'
}

stop_all() {
  trap kill_all INT TERM HUP  # asked twice: at once
  [[ -z $waiter_pid ]] || kill "$waiter_pid" 2>/dev/null || true
  end ${pids[@]+"${pids[@]}"}
  end $nginx_pid  # last, because the streams that may still finish go through it
  [[ -z $runtime ]] || rm -rf "$runtime"
}

end() { # PID...: asks all of them to end, and waits for that
  local pid
  for pid in "$@"; do kill -TERM "$pid" 2>/dev/null || true; done
  for pid in "$@"; do wait "$pid" 2>/dev/null || true; done
}

kill_all() {
  local pid
  for pid in ${pids[@]+"${pids[@]}"} $nginx_pid; do kill -KILL "$pid" 2>/dev/null || true; done
}

run() {
  check_port
  # A laptop's Ctrl+C should not wait half a minute for a forgotten stream.
  export SANDLE_DRAIN_TIMEOUT_S=${SANDLE_DRAIN_TIMEOUT_S:-5}
  trap stop_all EXIT
  trap 'say "stopping"; exit 0' INT TERM HUP
  start_all
  wait_until_ready
  announce
  watch
}

watch() { # until a part ends by itself, which ends the rest
  local pid
  while sleep 1; do
    for pid in "${pids[@]}" $nginx_pid; do
      kill -0 "$pid" 2>/dev/null || fail 'a part of the stack has ended; ending the others'
    done
  done
}

listen_host=$host
case $host in
  *:*) listen_host="[$host]" ;;
esac
url_host=$listen_host
case $host in
  0.0.0.0 | ::) url_host=127.0.0.1 ;;
esac
url=http://$url_host:$port

case ${1:-} in
  '') check_settings; set_up; run ;;
  --setup-only) check_settings; set_up ;;
  -h | --help) sed -n '2,/^set -euo/{/^#/s/^# \{0,1\}//p;}' "${BASH_SOURCE[0]}" ;;
  *) fail "unknown option '$1'; see --help" ;;
esac
