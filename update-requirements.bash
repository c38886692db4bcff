#!/usr/bin/env bash
# Locks the Python requirements: from each requirements.in, which names what is used, a requirements.txt with the exact version
# and the hashes of it and of everything it brings along, for Python 3.11 and later on every platform. pip then takes nothing else.
#
#   bash update-requirements.bash                          after a change of a requirements.in; versions stay where they can
#   bash update-requirements.bash --upgrade-package NAME   the newest version of one package that still fits
#   bash update-requirements.bash --upgrade                of all of them
#
# Other options go to `uv pip compile`, too. Needs .venv with the requirements of the tests (`bash run-tests.bash flake8` makes
# it) or uv on the PATH, and the package index. tests/test_requirements.py says when a lock does not fit its requirements.in.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cd "$root"
# All of these are installed side by side in .venv, so they are resolved together first.
together=(sandle/requirements-telemetry openai-wrapper/requirements certificates/requirements backend-stub/requirements
  backend-ct2/requirements backend-llama/requirements backend-hf/requirements-torch backend-hf/requirements backend-hf/requirements-gpu tests/requirements)
# Not torch, whose build depends on the machine; nor the CUDA libraries, whose versions its build names by itself.
left_out=(torch triton cuda-bindings cuda-toolkit nvidia-cudnn-cu13 nvidia-cusparselt-cu13 nvidia-nccl-cu13 nvidia-nvshmem-cu13)

uv=$root/.venv/bin/uv
[[ -x $uv ]] || uv=$(command -v uv) || { echo 'uv was not found: pip install uv' >&2; exit 1; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
printf '%s\n' "${left_out[@]:1}" >"$work/excludes"

compile() { # LOCK INPUT.in... -- OPTION...: versions that LOCK holds already are kept
  local lock=$1 inputs=()
  shift
  while [[ $1 != -- ]]; do inputs+=("$1"); shift; done
  "$uv" pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-package torch \
    --excludes "$work/excludes" --custom-compile-command 'bash update-requirements.bash' \
    "${inputs[@]}" --output-file "$lock" "${@:2}"
}

# What is locked now is where the search begins; of a package that two locks hold, the first version is.
for name in "${together[@]}"; do
  if [[ -f $name.txt ]]; then cat "$name.txt"; fi
done | awk '/^[A-Za-z0-9]/ && !seen[$1]++ { print $1 }' >"$work/all.txt"
compile "$work/all.txt" "${together[@]/%/.in}" -- "$@"
for name in "${together[@]}"; do
  lock=$work/${name//\//-}.txt
  cp "$work/all.txt" "$lock"
  compile "$lock" "$name.in" --
done
cat tests/harness/requirements.txt "$work/all.txt" >"$work/tests-harness-requirements.txt"
compile "$work/tests-harness-requirements.txt" tests/harness/requirements.in -- --no-deps "$@"
# Not with the others, because it does not go together with them.
if [[ -f tests/clients/litellm/requirements.txt ]]; then cp tests/clients/litellm/requirements.txt "$work/tests-clients-litellm-requirements.txt"; fi
compile "$work/tests-clients-litellm-requirements.txt" tests/clients/litellm/requirements.in -- "$@"
for name in "${together[@]}" tests/harness/requirements tests/clients/litellm/requirements; do cp "$work/${name//\//-}.txt" "$name.txt"; done
