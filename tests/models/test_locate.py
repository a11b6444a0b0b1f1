"""The base of a training comes from the hub once, however many processes start together. The hub here is on loopback."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import threading
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

pytest.importorskip("huggingface_hub")

COMMIT = "0123456789abcdef0123456789abcdef01234567"
FILES = {
    "config.json": b"{}",
    "model.safetensors": os.urandom(1 << 20),
    "tokenizer.json": b"{ }",
    "pytorch_model.bin": b"no",
}
FETCH = "import sys; from evoltune.models.locate import ModelRef, download_model; print(download_model(ModelRef(sys.argv[1])))"


@pytest.fixture
def hub():
    """A server that speaks as much of the hub's protocol as a download needs; counts what it sends."""
    sent: Counter[str] = Counter()

    class Handler(BaseHTTPRequestHandler):
        def do_HEAD(self):
            self.answer(body=False)

        def do_GET(self):
            self.answer(body=True)

        def answer(self, body: bool):
            path = self.path.partition("?")[0]
            if "/gated/" in path:
                return self.reply(403, b'{"error": "gated"}', {"X-Error-Code": "GatedRepo"}, body)
            name = path.rpartition("/")[2]
            if "/tree/" in path:
                tree = [{"type": "file", "path": f, "size": len(c), "oid": "0" * 40} for f, c in FILES.items()]
                return self.reply(200, json.dumps(tree).encode(), {}, body)
            if path.startswith("/api/models/"):
                files = [{"rfilename": f} for f in FILES]
                return self.reply(
                    200, json.dumps({"id": "some/base", "sha": COMMIT, "siblings": files}).encode(), {}, body
                )
            if name not in FILES:
                return self.reply(404, b"", {}, body)
            sent[name] += body
            etag = hashlib.sha256(FILES[name]).hexdigest()
            return self.reply(200, FILES[name], {"ETag": f'"{etag}"', "X-Repo-Commit": COMMIT}, body)

        def reply(self, status, content, headers, body):
            self.send_response(status)
            for key, value in {**headers, "Content-Length": str(len(content))}.items():
                self.send_header(key, value)
            self.end_headers()
            if body:
                self.wfile.write(content)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}", sent
    server.shutdown()


def fetch(name: str, address: str, home: Path) -> subprocess.Popen:
    offline = ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "HF_DATASETS_OFFLINE", "HF_HUB_CACHE")
    env = {k: v for k, v in os.environ.items() if k not in offline and not k.lower().endswith("_proxy")}
    env |= {"HF_ENDPOINT": address, "HF_HOME": str(home), "HF_HUB_DISABLE_XET": "1"}
    return subprocess.Popen(
        [sys.executable, "-c", FETCH, name], env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def test_of_processes_that_start_together_one_downloads(hub, tmp_path: Path):
    address, sent = hub
    started = [fetch("some/base", address, tmp_path) for _ in range(3)]
    said = [process.communicate(timeout=120) for process in started]
    folders = {out.strip() for out, _ in said}
    assert [p.returncode for p in started] == [0, 0, 0], said
    assert len(folders) == 1
    assert (Path(folders.pop()) / "model.safetensors").read_bytes() == FILES["model.safetensors"]
    assert sent == {"config.json": 1, "model.safetensors": 1, "tokenizer.json": 1}


def test_a_gated_base_says_what_to_do(hub, tmp_path: Path):
    process = fetch("gated/base", hub[0], tmp_path)
    _, said = process.communicate(timeout=120)
    assert process.returncode == 1
    assert "HF_TOKEN" in said.splitlines()[-1]
