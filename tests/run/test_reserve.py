"""Replies that are paid when the disk is full are kept all the same, and committed when the store is opened again."""

import pytest

from evoltune.errors import StoreError
from evoltune.run.paths import STORE_RESERVE
from evoltune.run.store import Store, Usage


def journal(store, i, text="x"):
    usage = Usage(prompt_tokens=3, completion_tokens=4, usd=0.1)
    store.journal(f"{i:032x}", purpose="answer", model="m", request={"seed": i}, texts=[text], usage=usage)


def full(store):
    """From now on the database may not grow, as on a full disk."""
    store._db.execute("PRAGMA max_page_count=1")
    store._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def texts_in(store):
    return {call["key"]: call["texts"] for call in store.calls()}


def kept_by_a_full_disk(folder, replies):
    """The store's folder after a process that was killed on a full disk."""
    store = Store.open(folder)
    store.hold_reserve(2**20)
    full(store)
    for i in range(replies):
        journal(store, i, f"paid {i} äöü\n\0" + "x" * 9000)
    store.note_cost("budget:lost", {"calls": 2})
    store.note_cost("budget:lost", {"calls": 3})
    assert store.refused is not None
    store.close()
    return f"{replies - 1:032x}"


def test_replies_that_came_home_to_a_full_disk_are_there_when_the_store_is_opened_again(tmp_path):
    last = kept_by_a_full_disk(tmp_path, 30)
    with Store.open(tmp_path) as store:
        texts = texts_in(store)
        assert len(texts) == 30 and texts[last] == ["paid 29 äöü\n\0" + "x" * 9000]
        assert store.spent()["answer"]["calls"] == 30 and store.noted("budget:lost") == {"calls": 3}
    assert not (tmp_path / STORE_RESERVE).exists()
    with Store.open(tmp_path) as store:  # its digests count them too
        assert len(texts_in(store)) == 30


def test_a_reserve_that_was_cut_off_gives_the_rows_before(tmp_path):
    kept_by_a_full_disk(tmp_path, 30)
    path = tmp_path / STORE_RESERVE
    path.write_bytes(path.read_bytes()[:100_000])
    with Store.open(tmp_path) as store:
        assert 5 <= len(texts_in(store)) < 30


def test_more_than_the_reserve_holds_is_refused(tmp_path):
    with Store.open(tmp_path) as store:
        store.hold_reserve(2**20)
        full(store)
        journal(store, 1, "x" * 2**19)
        with pytest.raises(StoreError, match="full"):
            journal(store, 2, "x" * 2**20)
    with Store.open(tmp_path) as store:
        assert list(texts_in(store)) == [f"{1:032x}"]


def test_an_ordinary_run_leaves_no_reserve(tmp_path):
    with Store.open(tmp_path) as store:
        store.hold_reserve(2**20)
        assert (tmp_path / STORE_RESERVE).stat().st_blocks * 512 >= 2**20
        journal(store, 1)
        assert store.refused is None
    assert not (tmp_path / STORE_RESERVE).exists()


@pytest.mark.parametrize(
    "content", [b"5\n", b'{"a": 1}\n', b'["budget:lost", 1]\n', b"[1, 2, 3]\n", b"null", b"\xff\n"]
)
def test_what_is_not_ours_is_no_reply(tmp_path, content):
    (tmp_path / STORE_RESERVE).write_bytes(content)
    with Store.open(tmp_path) as store:
        assert texts_in(store) == {} and store.noted("budget:lost") is None
