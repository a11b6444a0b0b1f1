"""Runs and rows at fsspec addresses: a real S3 server on loopback, and what a reader sees at every moment."""

import json
import os
import random
import shutil
import socket
import sqlite3
import subprocess
import sys
import time
from contextlib import closing

import pytest

from evoltune.cli import main
from evoltune.errors import DataError, StoreError
from evoltune.rows.storage import fetch, filesystem, working_copy
from evoltune.run import publish as publishing
from evoltune.run.lock import locked
from evoltune.run.publish import publish, working_on
from evoltune.run.store import Store, Usage

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
    own = (".published.json", "run.lock", "store.lock")
    found = sorted(p for p in folder.rglob("*") if p.is_file() and p.name not in own)
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

    def dies(*args, **condition):
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
    with pytest.raises(StoreError, match=r"that have changed since: store.sqlite"), working_on(place, one):
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
        pytest.param("[" * 200_000, id="nested"),
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


BAD_ENTRIES = [
    {"sha256": "0" * 63},
    {"sha256": "G" * 64},
    {"sha256": "0" * 64, "bytes": -1},
    {"sha256": "0" * 64, "bytes": True},
    {"sha256": "0" * 64, "bytes": 10**30},
]
BAD_NAMES = [
    ".published.json",
    "run.lock",
    "a.tmp/b",
    "a//b",
    "./a",
    "dataset",
    "dataset/train.parquet/x",
    "a\ud800",
    "a" * 300,
]


@pytest.mark.parametrize("bad", [*BAD_ENTRIES, *BAD_NAMES])
def test_a_manifest_is_checked_whole_before_anything_moves(tmp_path, bad):
    place = f"file://{tmp_path}/there"
    publish(run_folder(tmp_path / "mine"), place)
    path = tmp_path / "there" / "manifest.json"
    manifest = json.loads(path.read_text())
    name, entry = (bad, manifest["files"]["store.sqlite"]) if isinstance(bad, str) else ("zz", bad)
    manifest["files"][name] = entry
    path.write_text(json.dumps(manifest))
    with pytest.raises(StoreError, match=r"manifest"):
        fetch(place, tmp_path / "yours")
    assert not (tmp_path / "yours").exists() or not tree(tmp_path / "yours")


def test_fetch_keeps_what_no_publication_put_there(place, tmp_path):
    mine, yours = run_folder(tmp_path / "mine"), tmp_path / "yours"
    publish(mine, place)
    (yours / "notes").mkdir(parents=True)
    (yours / "notes" / "thesis.txt").write_text("mine alone")
    fetch(place, yours)
    shutil.rmtree(mine / "dataset")
    (mine / "new.json").write_text("{}")
    publish(mine, place)
    fetch(place, yours)  # what was published before and is gone now goes; the rest stays
    assert tree(yours) == {"notes/thesis.txt": b"mine alone", "store.sqlite": b"facts", "new.json": b"{}"}
    (mine / "notes").mkdir()
    (mine / "notes" / "thesis.txt").write_text("another")
    publish(mine, place)
    before = tree(yours)
    with pytest.raises(StoreError, match=r"no publication put there.*notes/thesis\.txt.*nothing was changed"):
        fetch(place, yours)
    assert tree(yours) == before


def test_fetch_waits_for_nobody_and_writes_beside_no_process(tmp_path):
    place = f"file://{tmp_path}/there"
    publish(run_folder(tmp_path / "mine"), place)
    for lock in ("run.lock", "store.lock"):
        with locked(tmp_path / "yours", lock), pytest.raises(StoreError, match="another process writes"):
            publishing.fetch(place, tmp_path / "yours")
    assert not tree(tmp_path / "yours")


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_a_link_is_refused_by_name(tmp_path, kind):
    mine = run_folder(tmp_path / "mine")
    (tmp_path / "big").mkdir()
    (tmp_path / "big" / "weights").write_text("w")
    (mine / "checkpoint").symlink_to(tmp_path / "big" / ("weights" if kind == "file" else ""))
    with pytest.raises(DataError, match=r"checkpoint: a symbolic link is not published"):
        publish(mine, f"file://{tmp_path}/there")
    shutil.copytree(tmp_path / "big", tmp_path / "one" / "checkpoint")
    publish(tmp_path / "one", f"file://{tmp_path}/one-there")
    (tmp_path / "two").mkdir()
    (tmp_path / "two" / "checkpoint").symlink_to(tmp_path / "big")
    with pytest.raises(StoreError, match="nothing was changed"):
        fetch(f"file://{tmp_path}/one-there", tmp_path / "two")


def killed_run(folder, calls):
    """A store whose last transactions are only in its write-ahead log, as `kill -9` leaves it."""
    with Store.open(folder.with_name("live")) as store:
        for i in calls:
            pay(store, i)
        folder.mkdir()
        for path in folder.with_name("live").glob("store.sqlite*"):
            shutil.copy(path, folder)
    shutil.rmtree(folder.with_name("live"))
    assert (folder / "store.sqlite-wal").stat().st_size
    return folder


def pay(store, i):
    store.journal(f"{i:032x}", purpose="answer", model="m", request={"i": i}, texts=[f"reply {i}"], usage=Usage())


def paid(folder):
    with Store.read(folder) as store:
        assert store.sql("PRAGMA integrity_check").fetchone() == ("ok",)
        return {int(call["key"], 16) for call in store.calls()}


def test_the_log_of_a_killed_run_is_published_too(place, tmp_path):
    publish(killed_run(tmp_path / "mine", range(7)), place)
    fetch(place, tmp_path / "yours")
    assert paid(tmp_path / "yours") == set(range(7))


def test_a_live_run_is_published_with_all_that_it_committed(place, tmp_path):
    with Store.open(tmp_path / "mine") as store:
        for i in range(5):
            pay(store, i)
        publish(tmp_path / "mine", place)
        pay(store, 5)
    fetch(place, tmp_path / "yours")
    assert paid(tmp_path / "yours") == set(range(5))


def test_a_stale_log_is_never_applied_to_a_fetched_store(place, tmp_path):
    with Store.open(tmp_path / "mine") as store:
        pay(store, 1)
    publish(tmp_path / "mine", place)
    killed_run(tmp_path / "yours", range(10, 20))
    with pytest.raises(StoreError, match=r"store\.sqlite.*nothing was changed"):
        publishing.fetch(place, tmp_path / "yours")
    assert paid(tmp_path / "yours") == set(range(10, 20))
    (tmp_path / "yours" / "store.sqlite").unlink()  # its log stays behind
    killed_run(tmp_path / "other", range(30, 40))
    shutil.copy(tmp_path / "other" / "store.sqlite-wal", tmp_path / "yours")
    publishing.fetch(place, tmp_path / "yours")
    assert paid(tmp_path / "yours") == {1}


def test_of_two_machines_that_publish_at_the_same_moment_one_is_refused(place, tmp_path, monkeypatch):
    one, two = run_folder(tmp_path / "one"), run_folder(tmp_path / "two")
    (two / "store.sqlite").write_bytes(b"two")
    original = publishing._put_manifest

    def slowly(*args):
        monkeypatch.setattr(publishing, "_put_manifest", original)
        publish(two, place)  # between the first one's check and its write
        return original(*args)

    monkeypatch.setattr(publishing, "_put_manifest", slowly)
    with pytest.raises(StoreError, match="published there meanwhile"):
        publish(one, place)
    fetch(place, tmp_path / "yours")
    assert tree(tmp_path / "yours")["store.sqlite"] == b"two"


def test_a_storage_without_conditional_writes_refuses_a_second_first_manifest_and_says_what_it_lacks(
    tmp_path, monkeypatch, capsys
):
    place = f"memory://exclusive-{tmp_path.name}"
    one, two = run_folder(tmp_path / "one"), run_folder(tmp_path / "two")
    (two / "store.sqlite").write_bytes(b"two")
    original = publishing._refuse_other

    def late(*args):  # its check comes before the other machine's manifest, its write after
        original(*args)
        monkeypatch.setattr(publishing, "_refuse_other", original)
        publish(two, place)

    monkeypatch.setattr(publishing, "_refuse_other", late)
    with pytest.raises(StoreError, match="published there meanwhile"):
        publish(one, place)
    assert "conditional" not in capsys.readouterr().err
    for content in (b"three", b"four"):
        (two / "store.sqlite").write_bytes(content)
        publish(two, place)
    assert capsys.readouterr().err.count("no conditional write: publish from one machine only") == 1


def test_a_storage_with_conditional_writes_refuses_the_later_manifest_by_itself(bucket, tmp_path, monkeypatch):
    place = f"{bucket}/conditional"
    one, two = run_folder(tmp_path / "one"), run_folder(tmp_path / "two")
    (two / "store.sqlite").write_bytes(b"two")

    def too_late(address, before):
        monkeypatch.undo()
        publish(two, place)  # between the last look and the write

    monkeypatch.setattr(publishing, "_refuse_other", too_late)
    with pytest.raises(StoreError, match="published there meanwhile"):
        publish(one, place)


def test_a_damaged_publication_is_repaired_by_publishing_again(place, tmp_path):
    mine = run_folder(tmp_path / "mine")
    manifest = publish(mine, place)
    with filesystem(place) as (fs, root):
        fs.pipe_file(f"{root}/{manifest['files']['store.sqlite']['object']}", b"facks")  # of the same size
        fs.rm_file(f"{root}/{manifest['files']['dataset/train.parquet']['object']}")
    with pytest.raises((StoreError, DataError)):
        fetch(place, tmp_path / "yours")
    publish(mine, place, repair=True)
    fetch(place, tmp_path / "yours")
    assert tree(tmp_path / "yours") == {"dataset/train.parquet": b"rows" * 1000, "store.sqlite": b"facts"}
    sha256 = manifest["files"]["store.sqlite"]["sha256"]
    with filesystem(place) as (fs, root):
        text = fs.cat_file(f"{root}/manifest.json").decode()
        fs.pipe_file(f"{root}/manifest.json", text.replace(sha256, sha256[:-1] + "x").encode())
    publish(mine, place, repair=True)
    fetch(place, tmp_path / "hers")
    with filesystem(place) as (fs, root):
        fs.pipe_file(f"{root}/manifest.json", b"{")
    with pytest.raises(StoreError, match="--repair"):
        publish(mine, place)
    publish(mine, place, repair=True)
    fetch(place, tmp_path / "theirs")
    assert tree(tmp_path / "theirs") == tree(tmp_path / "yours")


def interleave(place, folder, seed):
    """Two machines run, are killed, publish, fetch and resume in a random order."""
    rng = random.Random(seed)
    machines = [folder / "a", folder / "b"]
    for machine in machines:
        machine.mkdir(parents=True)
    published, next_call = set(), 0
    for step in range(12):
        machine = rng.choice(machines)
        act = rng.choice(["run", "kill", "publish", "publish", "fetch", "resume"])
        if act in ("run", "kill"):
            with Store.open(machine) as store:
                for _ in range(rng.randint(1, 4)):
                    next_call += 1
                    pay(store, next_call)
                left = {path: path.read_bytes() for path in machine.glob("store.sqlite*")}
            if act == "kill":  # the files as they were before the store was closed
                for path, content in left.items():
                    path.write_bytes(content)
        if step == 6:
            (machine / "thesis.txt").write_text(machine.name)  # a file that is ours alone, from now on
        before = paid(machine) if (machine / "store.sqlite").exists() else set()
        try:
            if act == "publish" and not (machine / "thesis.txt").exists():
                publish(machine, place)
                published = before
            elif act == "fetch":
                publishing.fetch(place, machine)
                assert not published or paid(machine) == published
            elif act == "resume":
                publishing._fetch_newer(place, machine)
                assert not published or paid(machine) >= published
        except (StoreError, DataError):
            assert (paid(machine) if before else set()) == before, "an error changed the store"
        if step >= 6:
            assert sum((m / "thesis.txt").exists() for m in machines) == 1
    if published:
        publishing.fetch(place, folder / "c")
        assert paid(folder / "c") == published


def test_random_interleavings_of_two_machines_lose_nothing_that_was_published(bucket, tmp_path):
    for seed in range(12):
        place = f"{bucket}/turns-{seed}" if seed % 4 == 0 else f"file://{tmp_path}/{seed}/there"
        interleave(place, tmp_path / str(seed), seed)


@pytest.mark.slow
def test_two_hundred_interleavings_of_two_machines_lose_nothing_that_was_published(bucket, tmp_path):
    for seed in range(12, 212):
        place = f"{bucket}/turns-{seed}" if seed % 2 == 0 else f"file://{tmp_path}/{seed}/there"
        interleave(place, tmp_path / str(seed), seed)


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
    more = {"evolve": {"rounds": 8, "equal_check": False}, "compute": {"publish_every_s": 0.2}}
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


def test_a_run_at_an_address_goes_on_where_its_machine_was_lost(bucket, tmp_path, openai_server, capsys):
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
    assert main(["fetch", place, str(tmp_path / "fetched")]) == 0
    capsys.readouterr()
    assert tree(tmp_path / "fetched" / "dataset") == tree(tmp_path / "local" / "dataset")
    assert main(["publish", str(tmp_path / "fetched"), f"{bucket}/elsewhere", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["files"] == len(tree(tmp_path / "fetched"))
