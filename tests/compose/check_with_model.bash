#!/usr/bin/env bash
# backend-hf/Dockerfile.with-model: the image that it makes holds a model of the Hub, and answers without any network.
#
#   bash tests/compose/check_with_model.bash [MODEL]        one of the Hub; otherwise sandle-tiny, from a Hub of our own
#
# Needs Docker. The images stay, so that the next build is short.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/../.."
model=${1:-}
from_hub=()
hub_pid=
container=

clean_up() {
  local status=$?
  trap - EXIT
  if [[ -n $container ]]; then
    ((status == 0)) || docker logs --tail 60 "$container"
    docker rm --force "$container" >/dev/null
  fi
  [[ -z $hub_pid ]] || kill "$hub_pid"
  exit "$status"
}

start_hub() { # sandle-tiny under a name that the image does not know
  local address
  model=example/from-a-hub
  exec {hub}< <(exec python3 backend-hf/tests/fake_hub.py "$model" models/sandle-tiny)
  hub_pid=$!
  read -r address <&"$hub"
  from_hub=(--network host --build-arg "HF_ENDPOINT=$address")
}

inside() { # PYTHON: runs it in the container, where the backend is at `url`
  docker exec "$container" python -c "import json, urllib.request as http; url = 'http://127.0.0.1:8000'; $1"
}

wait_until_ready() {
  local began=$SECONDS
  until inside "http.urlopen(url + '/ready')" 2>/dev/null; do
    ((SECONDS - began < 120)) || { echo 'not ready after 120 s'; exit 1; }
    sleep 1
  done
}

trap clean_up EXIT
[[ -n $model ]] || start_hub
docker build -t sandle-backend-hf -f backend-hf/Dockerfile --build-arg SANDLE_TORCH_INDEX_URL .
docker build -t sandle-backend-hf-with-model -f backend-hf/Dockerfile.with-model --build-arg SANDLE_MODEL="$model" \
  ${from_hub[@]+"${from_hub[@]}"} .
# As in the compose files; and what the build had is gone.
container=$(docker run --detach --network none --read-only --tmpfs /tmp --cap-drop ALL sandle-backend-hf-with-model)
wait_until_ready
answer=$(inside "
request = {'model': '$model', 'prompt': 'Q: What is the capital of France?\\nA:', 'max_tokens': 8, 'temperature': 0}
request = http.Request(url + '/v1/completions', json.dumps(request).encode(), {'Content-Type': 'application/json'})
print(json.load(http.urlopen(request))['choices'][0]['text'])")
[[ -n $answer && (-z $hub_pid || $answer == *Paris*) ]] || { echo "it answers: $answer"; exit 1; }
echo "-- the image with $model answers without a network:$answer"
