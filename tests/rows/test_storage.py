"""What is read from a storage has a bound, and a redirect takes no key to another host."""

from __future__ import annotations

import hashlib
import http.server
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from evoltune.errors import DataError, StoreError
from evoltune.rows import storage
from evoltune.rows.storage import download, fetch, read_manifest

pytest.importorskip("fsspec")
pytest.importorskip("aiohttp")
Answer = Callable[[http.server.BaseHTTPRequestHandler], None]
BLOCK = b"x" * 2**16


@contextmanager
def answering(answer: Answer) -> Iterator[tuple[str, list[tuple[str, str | None]]]]:
    """A server's host and port, and (path, Authorization) of each request that it got."""
    seen: list[tuple[str, str | None]] = []

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            seen.append((self.path, self.headers.get("Authorization")))
            answer(self)

        do_HEAD = do_GET

        def log_message(self, *args: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        try:
            yield f"127.0.0.1:{server.server_address[1]}", seen
        finally:
            server.shutdown()
            thread.join()


def send(handler: http.server.BaseHTTPRequestHandler, body: bytes, **headers: str) -> None:
    handler.send_response(200)
    for name, value in {"Content-Length": str(len(body)), **headers}.items():
        handler.send_header(name.replace("_", "-"), value)
    handler.end_headers()
    if handler.command == "GET":
        handler.wfile.write(body)


def endless(handler: http.server.BaseHTTPRequestHandler) -> None:
    handler.send_response(200)
    handler.end_headers()
    try:
        while handler.command == "GET":
            handler.wfile.write(BLOCK)
    except OSError:  # the reader has gone
        pass


def test_an_endless_manifest_is_not_read_to_its_end(monkeypatch):
    monkeypatch.setattr(storage, "MAX_MANIFEST_BYTES", 2**20)
    with answering(endless) as (host, _), pytest.raises(StoreError, match=r"manifest\.json: more than 1048576 bytes"):
        read_manifest(f"http://{host}/there")


def test_an_endless_file_is_not_read_beyond_half_of_the_disk(monkeypatch, tmp_path):
    monkeypatch.setenv("EVOLTUNE_CACHE", str(tmp_path))
    usage = type("usage", (), {"free": 2**21})
    monkeypatch.setattr(storage.shutil, "disk_usage", lambda path: usage)
    with answering(endless) as (host, _), pytest.raises(StoreError, match="half of the free disk"):
        download(f"http://{host}/rows.jsonl")
    assert not [p for p in tmp_path.rglob("*") if p.is_file()]


def test_an_object_is_not_read_beyond_the_size_in_the_manifest(tmp_path):
    entry = {"sha256": hashlib.sha256(b"abc").hexdigest(), "bytes": 3}
    manifest = json.dumps({"format": 1, "version": "v", "before": "", "files": {"rows.jsonl": entry}}).encode()

    def answer(handler: http.server.BaseHTTPRequestHandler) -> None:
        if handler.path.endswith("manifest.json"):
            send(handler, manifest)
        else:
            endless(handler)

    with answering(answer) as (host, _), pytest.raises(StoreError, match=r"rows\.jsonl: more than 3 bytes"):
        fetch(f"http://{host}/there", tmp_path / "mine")
    assert not [p for p in (tmp_path / "mine").rglob("*") if p.is_file()]


def test_a_packed_reply_counts_unpacked(monkeypatch):
    import gzip

    monkeypatch.setattr(storage, "MAX_MANIFEST_BYTES", 2**20)
    bomb = gzip.compress(b" " * 2**23)
    with (
        answering(lambda h: send(h, bomb, Content_Encoding="gzip")) as (host, _),
        pytest.raises(StoreError, match="more than"),
    ):
        read_manifest(f"http://{host}/there")


def redirecting_to(other: str) -> Answer:
    def answer(handler: http.server.BaseHTTPRequestHandler) -> None:
        handler.send_response(307)
        handler.send_header("Location", f"http://{other}{handler.path}")
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    return answer


def test_a_redirect_of_a_storage_takes_no_login_to_another_host(monkeypatch, tmp_path):
    monkeypatch.setenv("EVOLTUNE_CACHE", str(tmp_path))
    with answering(lambda h: send(h, b"{}")) as (other, there), answering(redirecting_to(other)) as (host, here):
        download(f"http://ada:canary-pass@{host}/rows.jsonl")
    assert here and all(login for _, login in here) and there and not any(login for _, login in there)


HUB = """
import sys
from huggingface_hub import hf_hub_download
try:
    hf_hub_download("a/b", "config.json")
except Exception as error:
    print(type(error).__name__)
"""


def test_a_redirect_of_the_hub_takes_no_token_to_another_host(tmp_path):
    pytest.importorskip("huggingface_hub")
    with answering(lambda h: send(h, b"{}")) as (other, there), answering(redirecting_to(other)) as (host, here):
        environment = os.environ | {
            "HF_ENDPOINT": f"http://{host}",
            "HF_TOKEN": "hf_canary0123456789",
            "HF_HOME": str(tmp_path),
        }
        environment.pop("HF_HUB_OFFLINE", None)
        subprocess.run([sys.executable, "-c", HUB], env=environment, capture_output=True, timeout=60, check=True)
    assert any(token for _, token in here) and not any(token for _, token in there)


def test_an_address_that_is_refused_is_an_error_of_storage():
    def refuse(handler: http.server.BaseHTTPRequestHandler) -> None:
        handler.send_error(403)

    with answering(refuse) as (host, _), pytest.raises((StoreError, DataError), match=r"403|nothing there"):
        read_manifest(f"http://ada:canary-pass@{host}/there")
