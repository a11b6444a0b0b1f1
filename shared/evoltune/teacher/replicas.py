"""The servers behind `teacher.endpoints`: one `vllm serve` for each endpoint of a host, restarted when it dies.

    print(launch_script(recipe.teacher, gpus_each=2))

The recipe already says where its teachers listen; the script starts them there, waits until each answers `/health`, and
stops them when it ends. It holds the names of the recipe's key variables and files, never a key.
"""

import shlex
import socket
from importlib.resources import files
from urllib.parse import urlsplit

from evoltune.errors import RecipeError
from evoltune.recipe import Endpoint, Teacher
from evoltune.text.prompts import fill_slots

HEALTH_S = 1800
"""How long a replica may take to load its weights."""
RESTART_S = 5
LOOPBACK = ("localhost", "127.0.0.1", "::1")


def launch_script(teacher: Teacher, *, gpus_each: int = 1, host: str | None = None) -> str:
    """A bash script for the endpoints on `host` (default: this one). GPUs are assigned in the order of the recipe.

    Raises RecipeError when the recipe has no endpoint there, or two on one port.
    """
    if gpus_each < 1:
        raise RecipeError(f"--gpus-each {gpus_each}: must be at least 1")
    endpoints = _endpoints_on(teacher, host)
    template = (files("evoltune.teacher") / "replicas.sh").read_text(encoding="utf-8")
    gpus = [range(i * gpus_each, (i + 1) * gpus_each) for i in range(len(endpoints))]
    replicas = "\n".join(_start_line(teacher.model, *pair) for pair in zip(endpoints, gpus, strict=True))
    ports = " ".join(str(urlsplit(endpoint.url).port) for endpoint in endpoints)
    return fill_slots(template, restart_s=str(RESTART_S), health_s=str(HEALTH_S), replicas=replicas, ports=ports)


def _start_line(model: str, endpoint: Endpoint, gpus: range) -> str:
    parts = urlsplit(endpoint.url)
    bind = "127.0.0.1" if parts.hostname in LOOPBACK else "0.0.0.0"
    options = ["--host", bind, "--tensor-parallel-size", str(len(gpus)), "--served-model-name", model]
    arguments = shlex.join([model, *options])
    return f'replica {",".join(map(str, gpus))} {parts.port} "{_key(endpoint)}" {arguments} &\nreplicas+=($!)'


def _endpoints_on(teacher: Teacher, host: str | None) -> list[Endpoint]:
    if teacher.kind != "http" or not teacher.endpoints:
        raise RecipeError(
            "teacher.endpoints: the recipe names none: give teacher.kind: http and an endpoint per replica, "
            "e.g. {url: http://127.0.0.1:8000}"
        )
    names = {host} if host else {*LOOPBACK, socket.gethostname(), socket.getfqdn()}
    found = [endpoint for endpoint in teacher.endpoints if urlsplit(endpoint.url).hostname in names]
    if not found:
        hosts = ", ".join(sorted({str(urlsplit(e.url).hostname) for e in teacher.endpoints}))
        raise RecipeError(
            f"teacher.endpoints: none is on {host or socket.gethostname()}: they are on {hosts}: add --host"
        )
    ports = [urlsplit(endpoint.url).port for endpoint in found]
    if None in ports or len(set(ports)) < len(ports):
        raise RecipeError(f"teacher.endpoints: each replica of a host needs a port of its own in its url, got {ports}")
    return found


def _key(endpoint: Endpoint) -> str:
    """What bash expands to the key; empty when the recipe names none."""
    if endpoint.api_key_env:
        return f"${{{endpoint.api_key_env}:?}}"
    return f"$(cat {shlex.quote(endpoint.api_key_file)})" if endpoint.api_key_file else ""
