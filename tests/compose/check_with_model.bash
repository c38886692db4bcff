#!/usr/bin/env bash
# backend-hf/Dockerfile.with-model: the image that it makes answers without any network. Needs Docker.
#
#   bash tests/compose/check_with_model.bash [MODEL]        sandle-tiny, which needs no download, or one of the Hub
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/../.."
model=${1:-sandle-tiny}
docker build -t sandle-backend-hf -f backend-hf/Dockerfile .
docker build -t sandle-backend-hf-with-model -f backend-hf/Dockerfile.with-model --build-arg SANDLE_MODEL="$model" .
container=$(docker run --detach --network none --read-only --tmpfs /tmp sandle-backend-hf-with-model)
trap 'docker rm --force "$container" >/dev/null' EXIT

ask() { # PYTHON: runs it inside, where the backend is at `url`
  docker exec "$container" python -c "import json, urllib.request as http; url = 'http://127.0.0.1:8000'; $1"
}

for ((tries = 0; tries < 120; tries++)); do
  if ask "http.urlopen(url + '/ready')" 2>/dev/null; then
    ask "print(http.urlopen(http.Request(url + '/v1/completions', json.dumps({'model': '$model', 'prompt': 'Hello', \
      'max_tokens': 4}).encode(), {'Content-Type': 'application/json'})).read().decode())"
    exit 0
  fi
  sleep 1 # the container has to load the model
done
docker logs "$container" >&2
exit 1
