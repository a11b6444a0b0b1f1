"""Names that can only be mistyped fail at once, and say so; what the hub's local copy has needs no network."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from evoltune.errors import DataError, TrainingError
from evoltune.models.locate import locate_model
from evoltune.rows import hub
from evoltune.rows.hub import Address, parse_address
from evoltune.rows.readers import read_rows


@pytest.fixture
def nowhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A hub whose port nobody listens on, an empty local copy, and this folder to stand in."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    for name in ("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE", "TRANSFORMERS_OFFLINE", "http_proxy", "HTTP_PROXY",
                 "HF_HUB_CACHE", "HF_DATASETS_CACHE"):  # fmt: skip
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{port}")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    "name", ["./run", "/no/run", "~/no-run", "runs/x/checkpoint", "model.gguf", "here/checkpoint", "run/"]
)
def test_a_path_with_nothing_there_never_asks_the_hub(nowhere, monkeypatch, name):
    (nowhere / "here").mkdir()
    monkeypatch.setattr(hub, "unreachable", lambda: pytest.fail("the hub was asked"))
    with pytest.raises(TrainingError, match=r"no such folder: give the folder"):
        locate_model(name)


def test_a_hub_that_does_not_answer_is_named_with_what_to_do(nowhere):
    with pytest.raises(TrainingError, match=r"'owner/name'.*127\.0\.0\.1 does not answer .*check the name"):
        locate_model("owner/name")
    with pytest.raises(DataError, match=r"owner/rows: neither a file.*127\.0\.0\.1 does not answer"):
        list(read_rows("owner/rows"))


def test_offline_is_the_reason_when_it_was_asked_for(nowhere, monkeypatch):
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    with pytest.raises(TrainingError, match=r"HF_HUB_OFFLINE is set"):
        locate_model("owner/name")


def test_the_local_copy_needs_no_hub(nowhere):
    snapshot = nowhere / "hf" / "hub" / "models--owner--name" / "snapshots" / "0"
    snapshot.mkdir(parents=True)
    (snapshot / "model.safetensors").touch()
    assert locate_model("owner/name") == "owner/name"


def test_a_hub_that_answers_is_asked(nowhere, monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as server:
        monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{server.getsockname()[1]}")
        assert hub.unreachable() == ""
        assert locate_model("owner/name") == "owner/name"


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("a/b", {}),
        ("a/b@v1", {"revision": "v1"}),
        ("a/b:main", {"config": "main"}),
        ("a/b::train", {"split": "train"}),
        ("a/b@v1:main:train", {"revision": "v1", "config": "main", "split": "train"}),
    ],
)
def test_an_address_has_a_revision_a_configuration_and_a_split(text, parts):
    assert parse_address(text) == Address(repo="a/b", **parts)


@pytest.mark.parametrize("text", ["", "a/b@", "a/b@v1@v2", "a/b:main:train:more", "a/b:main@v1", "a/b:main:"])
def test_a_malformed_address_is_an_error_that_shows_the_form(text):
    with pytest.raises(DataError, match=r"OWNER/NAME\[@REVISION\]\[:CONFIG\[:SPLIT\]\]"):
        parse_address(text)
