"""Runs and rows at fsspec addresses: a real S3 server on loopback, and what a reader sees at every moment."""

import json
import os
import shutil
import socket
import sqlite3
import subprocess
import sys
import time
from contextlib import closing

import pytest

from evoltune.errors import DataError, StoreError
from evoltune.rows.storage import fetch, filesystem, working_copy
from evoltune.run import publish as publishing
from evoltune.run.publish import publish, working_on

pytest.importorskip("s3fs", reason="pip install 'evoltune[storage]'")


@pytest.fixture(scope="module")
def bucket(tmp_path_factory):
    """An S3 server of its own process; the address of a bucket in it."""
    pytest.importorskip("moto", reason="needs moto[server]")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    settings = {
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}", "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test-secret",
        "AWS_DEFAULT_REGION": "us-east-1", "XDG_CACHE_HOME": str(tmp_path_factory.mktemp("cache")),
    }  # fmt: skip
    before = dict(os.environ)
    os.environ.update(settings)
    try:
        for _ in range(300):
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                time.sleep(0.1)
        import s3fs

        s3fs.S3FileSystem().mkdir("runs")
        yield "s3://runs"
    finally:
        os.environ.clear()
        os.environ.update(before)
        server.terminate()
        server.wait(10)


@pytest.fixture(params=["s3", "file", "memory"])
def place(request, bucket, tmp_path):
    name = request.node.name.translate(str.maketrans("[]", "--"))
    return {"s3": f"{bucket}/{name}", "file": f"file://{tmp_path}/there", "memory": f"memory://{name}"}[request.param]


def tree(folder):
    found = sorted(p for p in folder.rglob("*") if p.is_file() and p.name != ".published.json")
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in found}


def run_folder(folder):
    (folder / "dataset").mkdir(parents=True)
    (folder / "dataset" / "train.parquet").write_bytes(b"rows" * 1000)
    (folder / "store.sqlite").write_bytes(b"facts")
    (folder / "store.lock").write_text("pid 1")
    (folder / "dataset" / "half.tmp").write_text("at work")
    return folder


def test_what_was_published_is_what_is_fetched(place, tmp_path):
    mine = run_folder(tmp_path / "mine")
    publish(mine, place)
    fetch(place, tmp_path / "yours")
    assert tree(tmp_path / "yours") == {"dataset/train.parquet": b"rows" * 1000, "store.sqlite": b"facts"}


def test_a_reader_sees_the_old_state_until_the_manifest_is_there(place, tmp_path, monkeypatch):
    mine = run_folder(tmp_path / "mine")
    publish(mine, place)
    (mine / "store.sqlite").write_bytes(b"more facts")

    def dies(*args):
        raise OSError("no space left")

    with monkeypatch.context() as broken:
        broken.setattr(publishing, "_put", dies)
        with pytest.raises(StoreError, match="local copy is kept"):
            publish(mine, place)
    fetch(place, tmp_path / "old")
    assert tree(tmp_path / "old")["store.sqlite"] == b"facts"
    publish(mine, place)
    fetch(place, tmp_path / "old")
    assert tree(tmp_path / "old")["store.sqlite"] == b"more facts"


def test_publishing_again_uploads_only_what_changed(place, tmp_path, monkeypatch):
    mine = run_folder(tmp_path / "mine")
    publish(mine, place)
    sent = []
    original = publishing._upload
    monkeypatch.setattr(
        publishing, "_upload", lambda fs, path, target: (sent.append(path.name), original(fs, path, target))
    )
    first = publish(mine, place)
    (mine / "new.json").write_text("{}")
    second = publish(mine, place)
    assert sent == ["new.json"]
    assert second["before"] == first["version"]


def test_two_machines_never_write_over_each_other(place, tmp_path):
    one = run_folder(tmp_path / "one")
    publish(one, place)
    two = tmp_path / "two"
    fetch(place, two)
    (one / "store.sqlite").write_bytes(b"one")
    (two / "store.sqlite").write_bytes(b"two")
    publish(two, place)
    with pytest.raises(StoreError, match="holds another state"):
        publish(one, place)
    with pytest.raises(StoreError, match="has changed too"), working_on(place, one):
        pass
    assert tree(one)["store.sqlite"] == b"one"


def test_a_damaged_object_is_named_and_not_put_in_place(place, tmp_path):
    mine = run_folder(tmp_path / "mine")
    manifest = publish(mine, place)
    with filesystem(place) as (fs, root):
        fs.pipe_file(f"{root}/{manifest['files']['store.sqlite']['object']}", b"facks")
    with pytest.raises(StoreError, match=r"store\.sqlite: damaged"):
        fetch(place, tmp_path / "yours")
    assert not (tmp_path / "yours" / "store.sqlite").exists()


@pytest.mark.parametrize("name", ["../evil", "/etc/evil", "a/../../evil"])
def test_a_manifest_cannot_write_outside_the_folder(tmp_path, name):
    place = f"file://{tmp_path}/there"
    publish(run_folder(tmp_path / "mine"), place)
    path = tmp_path / "there" / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["files"][name] = manifest["files"]["store.sqlite"]
    path.write_text(json.dumps(manifest))
    with pytest.raises(StoreError, match="outside"):
        fetch(place, tmp_path / "yours")


@pytest.mark.parametrize(
    "body",
    [
        "",
        "[]",
        "{",
        '{"format": 9}',
        '{"format": 1, "version": "x", "files": [1]}',
        '{"format": 1, "version": "x", "files": {"a": {"sha256": 1}}}',
    ],
)
def test_a_manifest_that_is_none_is_an_error_of_one_line(tmp_path, body):
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "manifest.json").write_text(body)
    with pytest.raises(StoreError, match="not a manifest"):
        fetch(f"file://{tmp_path}/there", tmp_path / "yours")


def test_nothing_published_and_an_unknown_scheme_are_said(bucket, tmp_path):
    with pytest.raises(DataError, match="nothing was published"):
        fetch(f"{bucket}/never", tmp_path / "x")
    with pytest.raises(DataError, match="nope"):
        fetch("nope://a/b", tmp_path / "x")


def evoltune(*words):
    return subprocess.run(
        [sys.executable, "-m", "evoltune", *map(str, words)], capture_output=True, text=True, timeout=300
    )


def test_rows_at_an_address_are_judged(bucket, tmp_path):
    rows = tmp_path / "rows.jsonl"
    rows.write_text(json.dumps({"id": "a", "answer": "The answer is 4.", "reference": "4"}) + "\n")
    with filesystem(bucket) as (fs, _):
        fs.put_file(str(rows), "runs/rows.jsonl")
    done = evoltune("verify", f"{bucket}/rows.jsonl", "--domain", "math", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[0])["status"] == "pass"
    assert "test-secret" not in done.stdout + done.stderr


PACKAGE = """
from evoltune import Answer, Domain, Operator, Record, Task, Verdict

domain = Domain(
    name="towns", operators=(Operator(name="harder", template="Harder:\\n{instruction}"),),
    verify=lambda task, candidate, context: Verdict(status="pass"), answer_prompt="Answer: {instruction}",
    seeds=lambda: [Record(domain="towns", task=Task(instruction=f"Describe the bridge of town {i} in plain words.", name=str(i)),
                          answers=(Answer(text=f"It has {i + 2} arches.", model="seed"),)) for i in range(6)])
"""


def towns(folder, url, **more):
    """A recipe over a domain of six seeds."""
    (folder / "towns").mkdir()
    (folder / "towns" / "__init__.py").write_text(PACKAGE)
    teacher = {"kind": "http", "model": "m", "endpoints": [{"url": url}], **more.pop("teacher", {})}
    raw = {"domain": str(folder / "towns"), "teacher": teacher, "evolve": {"rounds": 1, "equal_check": False}}
    (folder / "r.yaml").write_text(json.dumps({**raw, "verify": {"workers": 1, "sandbox": {"require": "L0"}}, **more}))
    return folder / "r.yaml"


def test_a_run_killed_in_the_middle_of_a_stage_goes_on_elsewhere_from_its_last_snapshot(
    bucket, tmp_path, openai_server
):
    place = f"{bucket}/snapshots"
    more = {"evolve": {"rounds": 30, "equal_check": False}, "compute": {"publish_every_s": 0.2}}
    server = openai_server(latency_s=0.05)
    recipe = towns(tmp_path, server.url, teacher={"concurrency": 2}, **more)
    command = [sys.executable, "-m", "evoltune", "run", recipe, "--stages", "evolve", "--out", place]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while server.stats()["ok"] < 60:
        time.sleep(0.02)
        assert process.poll() is None
    process.kill()
    process.wait()
    shutil.rmtree(working_copy(place))  # its machine is gone
    before = server.stats()["ok"]
    held = tmp_path / "held"
    fetch(place, held)
    with closing(sqlite3.connect(held / "store.sqlite")) as db:
        kept = db.execute("select count(*) from calls").fetchone()[0]
        assert db.execute("pragma integrity_check").fetchone() == ("ok",)
    assert 0 < kept <= before
    done = evoltune("run", recipe, "--stages", "evolve", "--out", place)
    assert done.returncode == 0, done.stderr
    after = server.stats()["ok"]
    local = evoltune("run", recipe, "--stages", "evolve", "--out", tmp_path / "local")
    assert local.returncode == 0, local.stderr
    again = after - before - (server.stats()["ok"] - after - kept)
    assert 0 <= again <= 2  # what the snapshot held was not paid again; two were in flight, and ended after the kill


def test_a_snapshot_leaves_the_disk_to_the_run(tmp_path, monkeypatch, capsys):
    folder = run_folder(tmp_path / "run")
    (folder / "store.sqlite.7.snapshot.tmp").write_text("of a run that was killed")
    full = shutil.disk_usage(folder)._replace(free=100)
    monkeypatch.setattr(shutil, "disk_usage", lambda path: full)
    with working_on(f"file://{tmp_path}/there", folder, 0.05):
        time.sleep(0.3)
        assert not (tmp_path / "there").exists()
    assert "not published" in capsys.readouterr().err
    assert not list(folder.rglob("*.snapshot.tmp"))
    assert (tmp_path / "there" / "manifest.json").exists()  # the last one, as the run ends, copies nothing


def test_a_run_at_an_address_goes_on_where_its_machine_was_lost(bucket, tmp_path, openai_server):
    """evolve on one machine, its disk lost, verify and build on another: nothing is paid twice, the dataset is that of a
    local run."""
    place = f"{bucket}/lost"
    server = openai_server()
    recipe = towns(tmp_path, server.url)
    for stages in ("evolve", "verify,build"):
        done = evoltune("run", recipe, "--stages", stages, "--out", place)
        assert done.returncode == 0, done.stderr
        assert "test-secret" not in done.stdout + done.stderr
        shutil.rmtree(working_copy(place))
    once = server.stats()["ok"]
    local = evoltune("run", recipe, "--stages", "evolve,verify,build", "--out", tmp_path / "local")
    assert local.returncode == 0, local.stderr
    assert server.stats()["ok"] == 2 * once > 0
    fetched = evoltune("fetch", place, tmp_path / "fetched")
    assert fetched.returncode == 0, fetched.stderr
    assert tree(tmp_path / "fetched" / "dataset") == tree(tmp_path / "local" / "dataset")
    again = evoltune("publish", tmp_path / "fetched", f"{bucket}/elsewhere", "--json")
    assert json.loads(again.stdout)["files"] == len(tree(tmp_path / "fetched"))
