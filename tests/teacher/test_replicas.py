"""The script that brings up a recipe's teachers: what it starts, restarts and ends, with an executable named vllm."""

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request

import pytest

from evoltune.errors import RecipeError
from evoltune.recipe import Endpoint, Teacher
from evoltune.teacher.replicas import launch_script

VLLM = f"""#!{sys.executable}
import http.server, json, os, sys
port = int(sys.argv[sys.argv.index("--port") + 1])
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = json.dumps({{"argv": sys.argv[1:], "gpus": os.environ["CUDA_VISIBLE_DEVICES"],
                           "key": os.environ["VLLM_API_KEY"], "pid": os.getpid()}}).encode()
        self.send_response(200); self.end_headers(); self.wfile.write(body)
    def log_message(self, *words): pass
http.server.HTTPServer(("127.0.0.1", port), Handler).serve_forever()
"""


def free_ports(count):
    held = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [s.getsockname()[1] for s in held]
    for s in held:
        s.close()
    return ports


def teacher(*urls, **more):
    return Teacher(kind="http", model="org/coder 7B", endpoints=tuple(Endpoint(url=u, **more) for u in urls))


@pytest.mark.parametrize("gpus", [1, 4])
@pytest.mark.parametrize("more", [{}, {"api_key_env": "TEACHER_KEY"}, {"api_key_file": "/etc/a key"}])
def test_the_script_is_sound_bash(gpus, more):
    text = launch_script(teacher("http://localhost:8000", "http://127.0.0.1:8001/v1", **more), gpus_each=gpus)
    subprocess.run(["bash", "-n"], input=text, text=True, check=True)
    if shutil.which("shellcheck"):
        done = subprocess.run(["shellcheck", "-s", "bash", "-"], input=text, text=True, capture_output=True)
        assert done.returncode == 0, done.stdout
    assert text.count("\nreplica ") == 2


def test_other_hosts_replicas_are_started_there(monkeypatch):
    both = teacher("http://node1:8000", "http://node2:8000")
    assert launch_script(both, host="node2").count("\nreplica ") == 1
    assert "--host 0.0.0.0" in launch_script(both, host="node2")
    with pytest.raises(RecipeError, match="node1, node2"):
        launch_script(both)


@pytest.mark.parametrize(
    ("which", "says"),
    [
        (Teacher(), "teacher.endpoints"),
        (teacher("http://localhost:8000", "http://127.0.0.1:8000"), "port of its own"),
        (teacher("http://localhost"), "port of its own"),
    ],
)
def test_a_recipe_without_startable_endpoints_is_refused(which, says):
    with pytest.raises(RecipeError, match=says):
        launch_script(which)


def asked(port, until=20.0):
    end = time.monotonic() + until
    while True:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/health") as reply:
                return json.load(reply)
        except OSError:
            if time.monotonic() > end:
                raise
            time.sleep(0.1)


def test_replicas_come_up_come_back_and_end_with_the_command(tmp_path):
    (tmp_path / "vllm").write_text(VLLM)
    (tmp_path / "vllm").chmod(0o755)
    ports = free_ports(2)
    recipe = tmp_path / "r.yaml"
    endpoints = [{"url": f"http://127.0.0.1:{p}", "api_key_env": "TEACHER_KEY"} for p in ports]
    recipe.write_text(json.dumps({"domain": "math", "teacher": {"kind": "http", "model": "m", "endpoints": endpoints}}))
    env = os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}", "TEACHER_KEY": "s3cret"}
    command = [sys.executable, "-m", "evoltune", "teacher", str(recipe), "--gpus-each", "2"]
    printed = subprocess.run([*command, "--print-launch"], env=env, capture_output=True, text=True, check=True)
    assert "s3cret" not in printed.stdout
    process = subprocess.Popen(command, env=env, stderr=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
    try:
        first, second = asked(ports[0]), asked(ports[1])
        assert (first["gpus"], second["gpus"], first["key"]) == ("0,1", "2,3", "s3cret")
        assert first["argv"][:2] == ["serve", "m"]
        assert process.stdout.readline().startswith("ready")
        os.kill(first["pid"], signal.SIGKILL)
        time.sleep(0.2)
        back = asked(ports[0])
        assert back["pid"] != first["pid"]
    finally:
        process.terminate()
        process.communicate(timeout=20)
    for pid in (back["pid"], second["pid"]):
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


def test_a_build_of_vllm_under_another_name_is_started_as_a_module(tmp_path):
    """The name of its package is all that tells it from vLLM itself; its own command fails at that name."""
    place = tmp_path / "site" / "vllm" / "entrypoints" / "openai"
    place.mkdir(parents=True)
    (place / "api_server.py").write_text(VLLM)
    for name, text in (("vllm", "exit 1"), ("python", f'exec {sys.executable} "$@"')):
        (tmp_path / name).write_text(f"#!/bin/sh\n{text}\n")
        (tmp_path / name).chmod(0o755)
    (port,) = free_ports(1)
    env = os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}", "PYTHONPATH": str(tmp_path / "site")}
    script = launch_script(teacher(f"http://127.0.0.1:{port}/v1"))
    process = subprocess.Popen(["bash", "-c", script], env=env, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    try:
        server = asked(port)
        assert server["argv"][:2] == ["--model", "org/coder 7B"]
    finally:
        process.terminate()
        process.wait(timeout=20)
    with pytest.raises(ProcessLookupError):
        os.kill(server["pid"], 0)
