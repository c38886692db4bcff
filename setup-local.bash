#!/usr/bin/env bash
# Makes what run-local.bash needs: .venv with the Python requirements, and the built page. `run-local.bash` calls this first,
# and `run-local.bash --setup-only` calls nothing else. Each step leaves a stamp of what it was made from, so that the next
# time it is skipped.
#
# SANDLE_BACKEND (hf): PyTorch is installed for hf and llama only, and llama.cpp for llama only. SANDLE_TORCH_INDEX_URL: see
# run-local.bash.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd -P)
venv=$root/.venv
# Behind a link there is an environment that others may use, too: it is taken for what it is, and not made again.
[[ ! -d $venv ]] || venv=$(cd "$venv" && pwd -P)
python=$venv/bin/python
page=$root/demo/dist
torch_index=${SANDLE_TORCH_INDEX_URL-https://download.pytorch.org/whl/cpu}

say() { printf 'sandle: %s\n' "$*" >&2; }
fail() { say "$*"; exit 1; }

stamp_of() { # TEXT FILE...: one hash of the text and of the names and contents of the files
  "$python" - "$@" <<'PYTHON'
import hashlib
import pathlib
import sys

digest = hashlib.sha256(sys.argv[1].encode())
for name in sys.argv[2:]:
    digest.update(f'\0{name}\0'.encode())
    digest.update(pathlib.Path(name).read_bytes())
print(digest.hexdigest())
PYTHON
}

is_stamped() { [[ -f $1 && $(cat "$1") == "$2" ]]; }

find_python() {
  local candidate
  for candidate in python3 python3.14 python3.13 python3.12 python3.11 python; do
    if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
      echo "$candidate"
      return
    fi
  done
  fail 'Python 3.11 or newer is needed, and none was found on the PATH'
}

make_venv() {
  # A virtual environment does not survive its Python, nor being moved: then it is made again.
  grep -qsF "$venv" "$venv/bin/activate" && "$python" -c 'import pip' 2>/dev/null && return
  local base
  base=$(find_python)
  say "making .venv with $("$base" --version)"
  "$base" -m venv --clear "$venv" || fail "$base cannot make a virtual environment (on Debian: apt-get install python3-venv)"
}

# The files hold hashes, with which pip takes nothing that is not in them; PyTorch itself is the exception.
pip_install() { PIP_DISABLE_PIP_VERSION_CHECK=1 "$python" -m pip install --quiet "$@"; }

install_base() { # what the wrapper and the backends without torch need
  local files=("$root/openai-wrapper/requirements.txt" "$root/backend-stub/requirements.txt")
  local wanted
  wanted=$(stamp_of base "${files[@]}")
  is_stamped "$venv/.stamp-base" "$wanted" && return
  say 'installing the Python requirements'
  pip_install "${files[@]/#/--requirement=}" || fail 'pip could not install the requirements'
  echo "$wanted" >"$venv/.stamp-base"
}

install_torch() { # what PyTorch needs, itself from the index of its build, then what stands on it
  local folder=$root/backend-hf
  local wanted
  wanted=$(stamp_of "$torch_index" "$folder"/requirements-torch.in "$folder"/requirements-torch.txt)
  is_stamped "$venv/.stamp-torch" "$wanted" && return
  say 'installing PyTorch (the first time this takes minutes)'
  local index=()
  # Few retries, because an index that cannot be reached is no failure: pip goes on with the package index's build.
  [[ -z $torch_index ]] || index=(--extra-index-url "$torch_index" --retries 2)
  pip_install -r "$folder/requirements-torch.txt" || fail 'pip could not install what PyTorch needs'
  pip_install ${index[@]+"${index[@]}"} -r "$folder/requirements-torch.in" || fail 'pip could not install PyTorch'
  echo "$wanted" >"$venv/.stamp-torch"
}

install_backend() { # NAME WHAT: what backend-NAME needs beside PyTorch
  local wanted
  wanted=$(stamp_of "$1" "$root/backend-$1/requirements.txt")
  is_stamped "$venv/.stamp-$1" "$wanted" && return
  say "installing $2"
  pip_install -r "$root/backend-$1/requirements.txt" || fail "pip could not install the requirements of backend-$1"
  echo "$wanted" >"$venv/.stamp-$1"
}

install_wanted_backend() {
  case ${SANDLE_BACKEND:-hf} in
    hf)
      install_torch
      install_backend hf 'the requirements of backend-hf'
      ;;
    llama)
      install_torch
      # pip keeps the wheel that it builds, so that another .venv on this machine gets it at once.
      install_backend llama 'the requirements of backend-llama; llama.cpp is compiled the first time, 5 to 10 minutes on two cores'
      ;;
    ct2) install_backend ct2 'the requirements of backend-ct2' ;;
  esac
}

can_build_page() {
  command -v npm >/dev/null &&
    node -e 'const [major, minor] = process.versions.node.split("."); process.exit(major * 100 + +minor < 2019 ? 1 : 0)' 2>/dev/null
}

build_page() {
  if ! can_build_page; then
    if [[ -f $page/index.html ]]; then
      say 'Node.js 20.19 or newer with npm was not found: the page stays as it was built before'
    else
      say 'Node.js 20.19 or newer with npm was not found: the page is left out, and the API alone is served'
    fi
    return
  fi
  local sources=() file wanted
  while IFS= read -r file; do sources+=("$file"); done < <(
    find "$root/demo" "$root/docs" -type f -not -path '*/node_modules/*' -not -path "$page/*" \
      -not -path '*/test-results/*' -not -path '*/playwright-report/*' | LC_ALL=C sort)
  wanted=$(stamp_of page "${sources[@]}")
  [[ -f $page/index.html ]] && is_stamped "$venv/.stamp-page" "$wanted" && return
  say 'building the page'
  # Both are quiet unless they fail.
  local log
  log=$(mktemp)
  if ! (cd "$root/demo" && install_node_modules && npm run build) >"$log" 2>&1 </dev/null; then
    tail -n 40 "$log" >&2
    rm -f "$log"
    fail 'the page could not be built; the last lines of the build are above'
  fi
  rm -f "$log"
  echo "$wanted" >"$venv/.stamp-page"
}

install_node_modules() { # in demo/
  local wanted
  wanted=$(stamp_of npm package.json package-lock.json)
  is_stamped node_modules/.stamp "$wanted" && return
  npm ci --no-audit --no-fund && echo "$wanted" >node_modules/.stamp
}

make_venv
install_base
install_wanted_backend
build_page
