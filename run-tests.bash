#!/usr/bin/env bash
# Every check of the project, with a summary at the end of what passed, failed and was skipped.
#
#   bash run-tests.bash              everything
#   bash run-tests.bash STAGE...     only these: flake8 mypy shellcheck audit-pip audit-npm pytest pytest-alone page-lint
#                                    page-unit page-browser page-speed fuzz
#
# Sets up what is missing first (.venv, the page), as run-local.bash does; honours its SANDLE_TORCH_INDEX_URL. A stage that
# cannot run here is skipped and the summary says why; a stage that fails does not stop the others. What each stage printed
# is kept in test-output/.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cd "$root"
output=$root/test-output
bin=$root/.venv/bin
stages=(flake8 mypy shellcheck audit-pip audit-npm pytest pytest-alone page-lint page-unit page-browser page-speed fuzz)
wanted=("$@")
summary=()
failed=()  # the stages
beside=()  # those that run in the background
beside_pid=
skip_status=77  # what a stage returns to be counted as skipped, its reason being the last line it printed
stack_pids=()
url=       # of the stack with the stub
tiny_url=  # of the stack with sandle-tiny
key=

say() { printf '\n== %s\n' "$*"; }
skip() { printf 'skipped: %s\n' "$*"; exit "$skip_status"; }

forget_settings() { # the tests choose their own settings; whoever runs them may have others set
  local name
  for name in "${!SANDLE_@}" "${!SENTRY_@}" "${!OTEL_@}"; do
    [[ $name == SANDLE_TORCH_INDEX_URL ]] || unset "$name"
  done
}

is_wanted() {
  local each
  [[ ${#wanted[@]} -gt 0 && $1 != setup ]] || return 0
  for each in "${wanted[@]}"; do [[ $each != "$1" ]] || return 0; done
  return 1
}

run_stage() { # NAME
  is_wanted "$1" || return 0
  say "$1"
  perform "$1"
  conclude "$1"
}

start_beside() { # STAGE...: one after the other in the background, where they yield to what runs in front
  local stage
  for stage in "$@"; do
    if is_wanted "$stage"; then beside+=("$stage"); fi
  done
  (
    renice -n 5 -p "$BASHPID" >/dev/null
    for stage in ${beside[@]+"${beside[@]}"}; do perform "$stage"; done
  ) >/dev/null &
  beside_pid=$!
}

finish_beside() {
  local stage
  wait "$beside_pid" || true
  for stage in ${beside[@]+"${beside[@]}"}; do
    say "$stage, run beside pytest"
    cat "$output/$stage.log"
    conclude "$stage"
  done
}

perform() { # STAGE: prints and keeps what it prints; keeps its status, and the seconds that it took
  local status began=$SECONDS
  # Not as a condition: that would turn off `set -e` inside.
  set +e
  (set -euo pipefail; "${1//-/_}_stage") 2>&1 </dev/null | tee "$output/$1.log"
  status=${PIPESTATUS[0]}
  set -e
  echo "$status $((SECONDS - began))" >"$output/$1.status"
}

conclude() { # STAGE
  local status seconds
  read -r status seconds <"$output/$1.status"
  case $status in
    0) note passed "$1" "$seconds" ;;
    "$skip_status") note SKIPPED "$1" "$seconds" "$(tail -n 1 "$output/$1.log" | sed 's/^skipped: //')" ;;
    *) note FAILED "$1" "$seconds" "status $status, see test-output/$1.log"; failed+=("$1") ;;
  esac
}

note() { # RESULT STAGE SECONDS [REMARK]
  summary+=("$(printf '%-8s %-13s %4d s  %s' "$1" "$2" "$3" "${4:-}")")
}

# ---- stages

setup_stage() {
  bash run-local.bash --setup-only
  SANDLE_BACKEND=ct2 bash run-local.bash --setup-only
  SANDLE_BACKEND=llama bash run-local.bash --setup-only || echo 'backend-llama cannot be set up here (see above): it is NOT tested'
  "$bin/python" -m pip install --quiet --disable-pip-version-check --require-hashes -r tests/requirements.txt
}

flake8_stage() { "$bin/flake8" . && echo 'flake8: nothing found'; }

mypy_stage() { # strict; a folder at a time, because a hyphen keeps a component's folder from being a package
  local folder folders=() status=0
  for folder in sandle tests bench models; do
    if holds_python "$folder"; then folders+=("$folder"); fi
  done
  "$bin/mypy" "${folders[@]}" || status=1
  for folder in backend-ct2 backend-hf backend-llama backend-stub openai-wrapper; do
    holds_python "$folder" || continue
    echo "in $folder:"
    # One cache for all: torch and the like are read once.
    (cd "$folder" && MYPYPATH=$root "$bin/mypy" --config-file "$root/pyproject.toml" --cache-dir "$root/.mypy_cache" .) || status=1
  done
  return "$status"
}

holds_python() { [[ -n $(find "$1" -name '*.py' -print -quit 2>/dev/null) ]]; }

shellcheck_stage() {
  local checker=$bin/shellcheck files=() file
  [[ -x $checker ]] || checker=$(command -v shellcheck) || skip 'shellcheck was not found'
  while IFS= read -r file; do files+=("$file"); done < <(
    find . \( -name node_modules -o -name .venv -o -name .git -o -name dist -o -name test-output \) -prune -o \
      -type f \( -name '*.bash' -o -name '*.sh' -o -path './.ci/run' \) -print | LC_ALL=C sort)
  "$checker" "${files[@]}"
  echo "shellcheck: nothing found in ${#files[@]} scripts"
}

audit_pip_stage() { "$bin/python" tests/audit.py pip; }

audit_npm_stage() {
  command -v npm >/dev/null || skip 'npm was not found'
  "$bin/python" tests/audit.py npm
}

pytest_stage() { # several files at a time, one more than there are cores: many tests wait for a process or a time to pass
  local workers=$(($(nproc) + 1))
  # A thread each, which is as many as models this small have use for. llama.cpp's threads take turns by spinning.
  OMP_NUM_THREADS=1 "$bin/pytest" -ra --durations=20 -m 'not alone' --numprocesses "$((workers < 8 ? workers : 8))" --dist loadfile
}

pytest_alone_stage() { "$bin/pytest" -ra --durations=10 -m alone; } # what measures: one by one

need_node_modules() { [[ -d demo/node_modules ]] || skip 'the page was not set up: Node.js 20.19 or newer with npm was not found'; }

page_lint_stage() {
  need_node_modules
  cd demo
  npm run --silent lint
  npm run --silent typecheck
}

page_unit_stage() {
  need_node_modules
  cd demo
  npm test
}

page_browser_stage() { browse e2e; }

page_speed_stage() { browse e2e:speed; }

browse() { # SCRIPT of demo/package.json
  need_node_modules
  local chromium
  chromium=$(find_chromium) || skip 'chromium was not found (on Debian: apt-get install chromium)'
  if [[ $1 == e2e ]]; then
    need_stack "$url" stub
    need_stack "$tiny_url" hf
  fi
  cd demo
  CHROMIUM_PATH=$chromium SANDLE_E2E_URL=$url SANDLE_E2E_TINY_URL=$tiny_url SANDLE_E2E_KEY=$key npm run "$1"
}

find_chromium() {
  local name
  for name in chromium chromium-browser google-chrome; do
    command -v "$name" && return
  done
  install_package chromium || return 1
  command -v chromium
}

has_nginx() { PATH=$PATH:/usr/sbin:/usr/local/sbin:/sbin command -v nginx >/dev/null; }

install_package() { # NAME: on Debian as root, else it fails
  ((EUID == 0)) && command -v apt-get >/dev/null || return 1
  { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$1"; } >&2 || return 1
}

fuzz_stage() { # made-up requests, good and bad, all of which must be answered as docs/swagger.yaml says
  need_stack "$url" stub
  "$bin/python" tests/fuzz_schema.py stub >"$output/swagger.yaml"
  # Left out: that every request which fits the schema is accepted. Some rules between fields no schema can say, such as
  # min_tokens <= max_tokens.
  timeout 180 "$bin/schemathesis" run "$output/swagger.yaml" --url "$url" --header "Authorization: Bearer $key" --seed 1 \
    --phases examples,coverage,fuzzing --exclude-checks positive_data_acceptance --max-examples 50 --max-time 75 \
    --request-timeout 30 --continue-on-failure --generation-database none --no-color
}

# ---- the running stacks that the last two stages talk to

start_stacks() {
  is_wanted page-browser || is_wanted fuzz || return 0
  key=$("$bin/python" -c 'import secrets; print(secrets.token_urlsafe(24))')
  # The page is tested behind nginx; where it cannot be had, the wrapper serves the page, and the tests say so.
  if is_wanted page-browser && ! has_nginx; then install_package nginx-light || echo 'nginx was not found and cannot be installed'; fi
  start_stack stub
  url=$started_url
  is_wanted page-browser || return 0
  start_stack hf
  tiny_url=$started_url
}

start_stack() { # BACKEND: on a free port; its URL is in $started_url, empty when it did not start
  local began=$SECONDS port pid log=$output/stack-$1.log
  say "starting the stack with backend-$1"
  started_url=
  port=$("$bin/python" -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
  SANDLE_BACKEND=$1 SANDLE_DEMO_PORT=$port SANDLE_AUTH_TOKEN=$key bash run-local.bash >"$log" 2>&1 </dev/null &
  pid=$!
  stack_pids+=("$pid")
  until grep -q '^  URL:' "$log"; do
    if ((SECONDS - began > 120)) || ! kill -0 "$pid" 2>/dev/null; then
      tail -n 20 "$log"
      return 0
    fi
    sleep 0.2
  done
  started_url=http://127.0.0.1:$port
}

need_stack() { # URL BACKEND
  [[ -n $1 ]] || { echo "the stack with backend-$2 did not start: see test-output/stack-$2.log"; exit 1; }
}

stop_stacks() {
  local pid
  for pid in ${stack_pids[@]+"${stack_pids[@]}"}; do kill -TERM "$pid" 2>/dev/null || true; done
  for pid in ${stack_pids[@]+"${stack_pids[@]}"}; do wait "$pid" 2>/dev/null || true; done
  stack_pids=()
}

# ---- all of it

check_names() {
  local name
  for name in ${wanted[@]+"${wanted[@]}"}; do
    [[ " ${stages[*]} " == *" $name "* ]] || { echo "unknown stage '$name'; they are: ${stages[*]}" >&2; exit 2; }
  done
}

show_failure() { # STAGE: what failed in it, again: whoever reads only the end of a long output must find it there
  local log=$output/$1.log lines=60
  say "failed: $1"
  # pytest lists the slowest tests after its tracebacks; every other tool ends with what failed.
  if [[ $1 == pytest* ]] && grep -qE '^=+ (ERRORS|FAILURES) =+$' "$log"; then
    sed -En '/^=+ (ERRORS|FAILURES) =+$/,/^=+ (warnings|slowest|short test) .*=+$/p' "$log" | tail -n "$lines"
    { grep -E '^(FAILED|ERROR) ' "$log" || true; } | tail -n "$lines"
  else
    tail -n "$lines" "$log"
  fi
}

report() {
  local stage
  for stage in ${failed[@]+"${failed[@]}"}; do show_failure "$stage"; done
  say "summary ($SECONDS s)"
  printf '%s\n' "${summary[@]}"
  # pytest's own last lines, which are else far above.
  for stage in pytest pytest-alone; do
    is_wanted "$stage" || continue
    grep -E '^=+ .*[0-9.]+s.* =+$' "$output/$stage.log" | tail -n 1 || echo "$stage did not come to its end"
  done
  for stage in page-speed page-browser; do # tests that passed only when tried again
    sed -n '/^  [0-9]* flaky$/,/^  [0-9]* \(skipped\|passed\)/{/flaky$\|^    /p}' "$output/$stage.log" 2>/dev/null || true
  done
  ((${#failed[@]} == 0)) || { echo "${#failed[@]} failed: ${failed[*]}"; exit 1; }
  echo 'nothing failed'
}

check_names
forget_settings
rm -rf "$output"
mkdir -p "$output"
trap stop_stacks EXIT
run_stage setup
((${#failed[@]} == 0)) || report
run_stage flake8
# pytest leaves the processor idle now and then.
start_beside mypy shellcheck audit-pip audit-npm page-lint page-unit
run_stage pytest
finish_beside
# These measure, and have the machine to themselves.
run_stage pytest-alone
start_stacks
run_stage page-speed
run_stage page-browser
run_stage fuzz
stop_stacks
report
