"""The servers behind `teacher.endpoints`: one `vllm serve` for each endpoint of this host, restarted when it dies.

    print(script(recipe.teacher, gpus_each=2))

The recipe already says where its teachers listen; the script starts them there, waits until each answers `/health`, and
ends them with itself. Keys stay in the variables and files that the recipe names: the script holds the names alone.
"""

from __future__ import annotations

import shlex
import socket
from urllib.parse import urlsplit

from evoltune.errors import RecipeError
from evoltune.recipe import Endpoint, Teacher

HEALTH_S = 1800
"""How long a replica may take to load its weights."""
RESTART_S = 5


def script(teacher: Teacher, *, gpus_each: int = 1, host: str | None = None) -> str:
    """A bash script for the endpoints on `host` (default: this one). GPUs are given out in the order of the recipe.

    Raises RecipeError when the recipe has no endpoint there, or two on one port.
    """
    if gpus_each < 1:
        raise RecipeError(f"--gpus-each {gpus_each}: from 1")
    here = _here(teacher, host)
    lines = [
        "#!/bin/bash",
        "# Teacher replicas; ends with Ctrl-C or SIGTERM, and its replicas with it.",
        "set -euo pipefail",
        'command -v vllm > /dev/null || { echo "vllm is not installed here: pip install vllm" >&2; exit 2; }',
        "replica() {  # GPUS PORT KEY ARGUMENTS...: serves until the script ends",
        '  local gpus=$1 port=$2 key=$3 child=""; shift 3',
        '  trap \'kill -TERM "$child" 2> /dev/null || true; wait "$child" 2> /dev/null || true; exit 0\' TERM',
        "  while true; do",
        '    CUDA_VISIBLE_DEVICES=$gpus VLLM_API_KEY=$key vllm serve "$@" --port "$port" &',
        '    child=$!; wait "$child" || true',
        f'    echo "replica on port $port ended: starting it again in {RESTART_S} s" >&2; sleep {RESTART_S}',
        "  done",
        "}",
        "replicas=()",
        "trap 'kill -TERM \"${replicas[@]}\" 2> /dev/null || true; wait; exit 0' INT TERM",
    ]
    for number, endpoint in enumerate(here):
        parts = urlsplit(endpoint.url)
        gpus = ",".join(str(number * gpus_each + i) for i in range(gpus_each))
        own = ["--host", _bind(parts.hostname or ""), "--tensor-parallel-size", str(gpus_each)]
        words = shlex.join([teacher.model, *own, "--served-model-name", teacher.model])
        lines += [f'replica {gpus} {parts.port} "{_key(endpoint)}" {words} &', "replicas+=($!)"]
    ports = " ".join(str(urlsplit(e.url).port) for e in here)
    lines += [
        f"for port in {ports}; do",
        f"  for _ in $(seq {HEALTH_S}); do",
        '    if curl -fsS -o /dev/null "http://127.0.0.1:$port/health" 2> /dev/null; then break; fi; sleep 1',
        "  done",
        '  echo "ready: port $port"',
        "done",
        "wait",
        "",
    ]
    return "\n".join(lines)


def _here(teacher: Teacher, host: str | None) -> list[Endpoint]:
    if teacher.kind != "http" or not teacher.endpoints:
        raise RecipeError(
            "teacher.endpoints: the recipe names none: give teacher.kind: http and an endpoint per replica, "
            "e.g. {url: http://127.0.0.1:8000}"
        )
    names = {host} if host else {"localhost", "127.0.0.1", "::1", socket.gethostname(), socket.getfqdn()}
    here = [endpoint for endpoint in teacher.endpoints if urlsplit(endpoint.url).hostname in names]
    if not here:
        found = ", ".join(sorted({str(urlsplit(e.url).hostname) for e in teacher.endpoints}))
        raise RecipeError(
            f"teacher.endpoints: none is on {host or socket.gethostname()}: they are on {found}: add --host"
        )
    ports = [urlsplit(endpoint.url).port for endpoint in here]
    if None in ports or len(set(ports)) < len(ports):
        raise RecipeError(
            f"teacher.endpoints: each replica of a host needs a port of its own in its url, got {ports}"
        )
    return here


def _bind(host: str) -> str:
    return "127.0.0.1" if host in ("localhost", "127.0.0.1", "::1") else "0.0.0.0"


def _key(endpoint: Endpoint) -> str:
    """What bash expands to the key; empty when the recipe names none."""
    if endpoint.api_key_env:
        return f"${{{endpoint.api_key_env}:?}}"
    return f"$(cat {shlex.quote(endpoint.api_key_file)})" if endpoint.api_key_file else ""
