#!/usr/bin/env bash
# Builds and starts the compose stack with one backend, and checks it from outside: through nginx, and container by container.
#
#   bash tests/compose/check.bash stub|hf|llama|ct2|https
#
# `https` is the stub with docker-compose.https.yml, of which no certificate authority is asked. After `llama` alone it is
# checked together with backend-hf.
#
# Needs Docker with docker-compose (or `docker compose`). Takes a free port and a project name of its own, and removes the
# containers, networks and volumes at the end; the images stay, so that the next build is short.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
cd "$root"
which=${1:-}
case $which in
  stub | hf | llama | ct2) backend=$which ;;
  https) backend=stub ;;
  *) echo "usage: $0 stub|hf|llama|ct2|https" >&2; exit 2 ;;
esac

export COMPOSE_PROJECT_NAME=sandle-check
export COMPOSE_FILE=docker-compose.yml:docker-compose.backend-$backend.yml
[[ $which != https ]] || COMPOSE_FILE+=:docker-compose.https.yml
export COMPOSE_HTTP_TIMEOUT=300
if command -v docker-compose >/dev/null; then export COMPOSE=docker-compose; else export COMPOSE='docker compose'; fi

say() { printf -- '-- %s\n' "$*"; }

compose() { $COMPOSE "$@"; }

forget_settings() { # but for where PyTorch comes from
  local name
  for name in "${!SANDLE_@}"; do
    [[ $name == SANDLE_TORCH_INDEX_URL ]] || unset "$name"
  done
}

clean_up() {
  local status=$?
  trap - EXIT
  if ((status != 0)); then compose logs --tail 60 || true; fi
  compose down --volumes --remove-orphans >/dev/null 2>&1 || true
  exit "$status"
}

build() { # a second time if need be: what can go wrong is mostly the network
  compose build || { say 'the build failed; once more'; sleep 10; compose build; }
}

check_override() { # the other way to start: the backend's file copied to docker-compose.override.yml
  local folder
  folder=$(mktemp -d)
  cp docker-compose.yml "docker-compose.backend-$backend.yml" "$folder"
  (
    cd "$folder"
    compose config >two-files
    cp "docker-compose.backend-$backend.yml" docker-compose.override.yml
    unset COMPOSE_FILE
    compose config >override
    diff two-files override
  )
  rm -rf "$folder"
  say 'ok: docker-compose.override.yml means the same as two files'
}

check_help() {
  [[ $(compose run --rm --no-deps openai-wrapper --help) == *Usage:* ]]
  say 'ok: docker-compose run --no-deps openai-wrapper --help'
}

choose_key() {
  # With the stub none is given, so that the wrapper makes one; with a model one is.
  [[ $backend == stub ]] || export SANDLE_AUTH_TOKEN=check-key_with-dashes_and_underscores
}

find_key() {
  if [[ -z ${SANDLE_AUTH_TOKEN:-} ]]; then
    SANDLE_AUTH_TOKEN=$(compose exec -T openai-wrapper cat /var/lib/sandle/generated-key)
    [[ $(compose logs --no-color openai-wrapper) == *"$SANDLE_AUTH_TOKEN"* ]] || { echo 'the log does not show the new key'; exit 1; }
    export SANDLE_AUTH_TOKEN
    say 'ok: the wrapper made a key and showed it'
  elif [[ $(compose logs --no-color) == *"$SANDLE_AUTH_TOKEN"* ]]; then
    echo 'a log holds the key'
    exit 1
  fi
}

wait_until_ready() {
  local began=$SECONDS
  until curl -kfsS -o /dev/null "$url/ready" 2>/dev/null; do
    ((SECONDS - began < 120)) || { compose ps; echo 'not ready after 120 s'; exit 1; }
    sleep 1
  done
  say "ready after $((SECONDS - began)) s"
}

forget_settings
choose_key
free_port() { python3 -c 'import socket; s = socket.socket(); s.bind(("0.0.0.0", 0)); print(s.getsockname()[1])'; }

SANDLE_DEMO_PORT=$(free_port)
export SANDLE_DEMO_PORT
plain_url=http://127.0.0.1:$SANDLE_DEMO_PORT
url=$plain_url
services=(demo openai-wrapper "backend-$backend")
# The stub answers slowly enough that a stream can be watched and left, and as slowly as it is asked; models read none of these.
export SANDLE_NUM_TOKENS=40 SANDLE_TOKEN_DELAY_S=0.05 SANDLE_FAULTS=true
if [[ $which == https ]]; then
  SANDLE_HTTPS_PORT=$(free_port)
  url=https://127.0.0.1:$SANDLE_HTTPS_PORT
  services+=(certbot)
  # Nobody is there.
  export SANDLE_HTTPS_PORT SANDLE_DOMAIN=sandle.test SANDLE_ACME_SERVER=https://127.0.0.1:1/directory
fi

[[ $which == https ]] || check_override
trap clean_up EXIT
compose down --volumes --remove-orphans >/dev/null 2>&1 || true
build
[[ $which == https ]] || check_help
compose up -d
wait_until_ready
find_key
status=0
python3 -m tests.compose.check_http "$url" "$backend" || status=1
python3 -m tests.compose.check_containers "${services[@]}" || status=1
[[ $which != https ]] || python3 -m tests.compose.check_https "$url" "$plain_url" || status=1
python3 -m tests.compose.check_load "$url" "$backend" || status=1
if [[ $which == llama ]]; then
  COMPOSE_FILE+=:docker-compose.backend-hf.yml
  build
  compose up -d
  wait_until_ready
  python3 -m tests.compose.check_together "$url" || status=1
fi
((status == 0)) || exit "$status"
say "the stack with $which is as it should be"
