#!/usr/bin/env bash
# Fuzzes the running compose stack with RESTler, as docs/swagger.yaml describes the API.
#
#   SANDLE_AUTH_TOKEN=KEY bash run-fuzz-test-docker.bash
#
# The stack must be up; it is reached by the name `demo` on its own network, so no port matters. Stops at the first step
# that reports a failure. What RESTler found is then in fuzz-test/output/, a folder for each step.
#
#   SANDLE_AUTH_TOKEN             a key of the running stack
#   COMPOSE_PROJECT_NAME          the compose project's name, if it is not the name of this folder
#   SANDLE_FUZZ_HOURS (0.5)       how long the last step, fuzz, takes
#   SANDLE_RESTLER_IMAGE          another image of RESTler than the one named below
#
# run-tests.bash has a shorter fuzz test, which needs neither Docker nor this image.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
image=${SANDLE_RESTLER_IMAGE:-mcr.microsoft.com/restlerfuzzer/restler:v8.5.0}
hours=${SANDLE_FUZZ_HOURS:-0.5}
output=$root/fuzz-test/output
# Compose's own rule for the name: the folder's, in lower case, without what it does not allow.
project=${COMPOSE_PROJECT_NAME:-$(basename "$root" | tr '[:upper:]' '[:lower:]' | tr -cd 'a-z0-9_-')}
network=${project}_edge

say() { printf 'fuzz: %s\n' "$*" >&2; }
fail() { say "$*"; exit 1; }

check() {
  [[ $# -eq 0 ]] || fail "unknown argument '$1'; settings come from the environment, see the head of this script"
  [[ -n ${SANDLE_AUTH_TOKEN:-} ]] || fail 'set SANDLE_AUTH_TOKEN to a key of the running stack'
  [[ $SANDLE_AUTH_TOKEN != *$'\n'* ]] || fail 'SANDLE_AUTH_TOKEN holds several keys; give one'
  command -v docker >/dev/null || fail 'docker was not found'
  [[ -f $root/docs/swagger.yaml ]] || fail 'docs/swagger.yaml is missing'
  docker network inspect "$network" >/dev/null 2>&1 ||
    fail "there is no network $network: start the stack with docker-compose, or set COMPOSE_PROJECT_NAME to its project"
  docker image inspect "$image" >/dev/null 2>&1 || docker pull "$image" || fail "the image $image cannot be had"
}

prepare() {
  mkdir -p "$output"
  # An earlier run's steps, and nothing else: the folder itself is what the container sees.
  rm -rf "${output:?}/Compile" "${output:?}/Test" "${output:?}/FuzzLean" "${output:?}/Fuzz"
  # What RESTler runs to get a token: a line about it, then the header. Off the command line, where others could read it.
  token=$(mktemp)
  trap 'rm -f "$token"' EXIT
  printf "{'sandle': {}}\nAuthorization: Bearer %s\n" "$SANDLE_AUTH_TOKEN" >"$token"
}

restler() { # ARGUMENT...
  # The image has it as a program or as a .NET library, depending on its version.
  # shellcheck disable=SC2016  # the container's shell is to see these
  docker run --rm --network "$network" --workdir /output --user "$(id -u):$(id -g)" --entrypoint sh \
    --env HOME=/tmp --env RESTLER_TELEMETRY_OPTOUT=1 \
    --mount "type=bind,src=$root/docs/swagger.yaml,dst=/swagger.yaml,readonly" \
    --mount "type=bind,src=$token,dst=/token,readonly" \
    --mount "type=bind,src=$output,dst=/output" \
    "$image" -c 'cd /output
      for program in /RESTler/restler/Restler /opt/restler/Restler; do [ -x "$program" ] && exec "$program" "$@"; done
      exec dotnet /RESTler/restler/Restler.dll "$@"' restler "$@"
}

step() { # SUBCOMMAND FOLDER OPTION...: runs one step and reads what it counted
  local summary=$output/$2/ResponseBuckets/runSummary.json bugs
  say "$1"
  restler "$1" --grammar_file Compile/grammar.py --dictionary_file Compile/dict.json --settings Compile/engine_settings.json \
    --no_ssl --host demo --target_port 8080 --token_refresh_command '/bin/cat /token' --token_refresh_interval 60 "${@:3}" ||
    fail "$1 failed"
  [[ -f $summary ]] || fail "$1 left no summary"
  cat "$summary"
  bugs=$(sed -n 's/.*"bugCount": *\([0-9][0-9]*\).*/\1/p' "$summary")
  [[ $bugs == 0 ]] || fail "$1 found ${bugs:-an unknown number of} bugs: see fuzz-test/output/$2"
}

check "$@"
prepare
say compile
restler compile --api_spec /swagger.yaml || fail 'compile failed'
step test Test
step fuzz-lean FuzzLean
step fuzz Fuzz --time_budget "$hours"
say 'every step passed'
