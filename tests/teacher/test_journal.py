"""A cassette replays a run exactly, and answers nothing else."""

import asyncio
import json
from dataclasses import replace

import pytest
from towns import grown, recipe

from evoltune.errors import DataError, StoreError, TeacherError
from evoltune.recipe import Price
from evoltune.run.store import Store, Usage
from evoltune.teacher.attempts import Attempts, Paid
from evoltune.teacher.journal import AllSamples, Journalled, commit_reply, export_cassette, load_cassette
from evoltune.teacher.protocol import Reply, Request, cost, key_of, make_request, request_key, request_to_json
from evoltune.teacher.stack import ConcurrencyLimited


@pytest.mark.parametrize("name", ["calls.jsonl", "calls.jsonl.gz"])
def test_a_cassette_replays_a_run_exactly_and_answers_nothing_else(tmp_path, name):
    rules, cassette = recipe(answers=2), tmp_path / name
    rows, _, teacher = grown(tmp_path / "recorded", rules)
    with Store.read(tmp_path / "recorded") as store:
        assert export_cassette(store, cassette) == len(teacher.asked) > 10
    replayed, _, _ = grown(tmp_path / "replayed", rules, teacher=load_cassette(cassette))
    assert replayed == rows
    stranger = make_request(rules.teacher, "What else?", purpose="answer", seed=1)
    with pytest.raises(TeacherError, match=r"no reply to this request .*export it again"):
        asyncio.run(load_cassette(cassette).complete(stranger))
    with pytest.raises(TeacherError, match=rf"purpose 'answer', record -\) among {len(teacher.asked)}: "):
        asyncio.run(load_cassette(cassette).complete(stranger))
    with pytest.raises(TeacherError, match=r"record r7\) among"):
        about = make_request(rules.teacher, "What else?", purpose="answer", seed=1, record="r7")
        asyncio.run(load_cassette(cassette).complete(about))


def test_a_damaged_cassette_is_named_with_its_line(tmp_path):
    path = tmp_path / "bad.jsonl"
    path.write_text('{"key": "1", "texts": ["a"]}\n{"key": 2\n')
    with pytest.raises(DataError, match=r"bad.jsonl:2: not JSON"):
        load_cassette(path)
    for line in ('{"key": "1", "texts": ["a", 1]}', '{"texts": ["a"]}', '{"key": "1"}', '{"key": "1", "texts": "a"}'):
        path.write_text(line)
        with pytest.raises(DataError, match=rf"^{tmp_path}/bad.jsonl:1: not a line of a cassette"):
            load_cassette(path)


ONE = Request(model="m", messages=(("user", "hi"),), purpose="answer", seed=1, n=2, record="r7")
REPLY = Reply(texts=("a", "b"), usage=Usage(prompt_tokens=1000, completion_tokens=200), truncated=(1,))
PRICE = Price(prompt=3.0, completion=15.0)


def test_a_replayed_reply_is_whole_and_needs_only_its_texts(tmp_path):
    path, key = tmp_path / "calls.jsonl", request_key(ONE)
    path.write_text(json.dumps({"key": key, "texts": ["a", "b"]}))
    assert asyncio.run(load_cassette(path).complete(ONE)) == Reply(texts=("a", "b"))
    path.write_text(
        json.dumps({"key": key, "texts": ["a", "b"], "prompt_tokens": 1000, "completion_tokens": 200, "cut": [1]})
    )
    assert asyncio.run(load_cassette(path).complete(ONE)) == REPLY


@pytest.mark.parametrize("discount", [1.0, 0.5])
def test_a_reply_is_committed_with_its_cost_and_what_it_is_about(tmp_path, discount):
    body = request_to_json(ONE)
    with Store.open(tmp_path) as store:
        reply = commit_reply(store, key_of(body), body, ONE, REPLY, PRICE, discount=discount)
        assert reply.usage.usd == pytest.approx(discount * cost(PRICE, REPLY.usage))
        assert reply.usage.usd == pytest.approx(discount * (1000 * 3.0 + 200 * 15.0) / 1e6)
        (row,) = store.calls()
    assert (row["record"], row["model"], row["purpose"], row["request"]) == (
        "r7",
        "m",
        "answer",
        json.loads(json.dumps(body)),
    )
    assert (row["texts"], row["cut"], row["usd"]) == (["a", "b"], [1], reply.usage.usd)
    assert (row["prompt_tokens"], row["completion_tokens"]) == (1000, 200)


class Counted:
    """Fails as often as it was told, then answers."""

    def __init__(self, *failures):
        self.failures, self.asked = list(failures), 0

    async def complete(self, request):
        self.asked += 1
        await asyncio.sleep(0)
        if self.failures:
            raise self.failures.pop(0)
        return REPLY


def test_a_journalled_reply_is_asked_for_once_and_comes_back_whole(tmp_path):
    inner = Counted()
    with Store.open(tmp_path) as store:
        first, second = (asyncio.run(Journalled(inner, store, PRICE).complete(ONE)) for _ in range(2))
        free = asyncio.run(Journalled(inner, store, Price(prompt=1.0)).complete(ONE))
    assert inner.asked == 1
    assert first == second == free and first.usage.usd > 0 and (first.texts, first.truncated) == (("a", "b"), (1,))


@pytest.mark.parametrize("failure", [TeacherError("down"), asyncio.CancelledError()], ids=["error", "cancelled"])
def test_all_who_wait_for_a_call_learn_that_it_failed_and_the_next_one_asks_again(tmp_path, failure):
    inner = Counted(failure)

    async def main(store):
        teacher = Journalled(inner, store)
        failed = await asyncio.gather(*(teacher.complete(ONE) for _ in range(3)), return_exceptions=True)
        assert [type(f) for f in failed] == [type(failure)] * 3 and list(store.calls()) == []
        assert (await teacher.complete(ONE)).texts == REPLY.texts

    with Store.open(tmp_path) as store:
        asyncio.run(asyncio.wait_for(main(store), 5))
    assert inner.asked == 2


class OneByOne:
    """A server that makes `first` texts whatever n is, then one a call; the texts name their seed."""

    def __init__(self, first, truncated=(), thoughts=()):
        self.first, self.truncated, self.thoughts, self.asked = first, truncated, thoughts, []

    async def complete(self, request):
        self.asked.append(request)
        count = self.first if len(self.asked) == 1 else 1
        seeds = range(request.seed, request.seed + count)
        return Reply(
            texts=tuple(f"text {seed}" for seed in seeds),
            usage=Usage(prompt_tokens=3, completion_tokens=5 * count, usd=0.25),
            truncated=tuple(i for i, seed in enumerate(seeds) if seed in self.truncated),
            thoughts=tuple(f"thought {seed}" if seed in self.thoughts else "" for seed in seeds)
            if self.thoughts
            else (),
        )


@pytest.mark.parametrize("seed", [1, 2**31 - 2])
@pytest.mark.parametrize("first", [1, 2, 4, 6])
def test_n_samples_come_from_a_server_that_makes_fewer_or_more(first, seed):
    n = 4
    server = OneByOne(first, truncated={seed, seed + 1, 0}, thoughts={seed + 1} if first == 1 else ())
    request = Request(model="m", messages=(("user", "hi"),), purpose="answer", seed=seed, n=n)
    reply = asyncio.run(AllSamples(server).complete(request))
    missing = max(0, n - first)
    seeds = [*range(seed, seed + min(n, first)), *((seed + i) % 2**31 for i in range(first, n))]
    assert reply.texts == tuple(f"text {s}" for s in seeds)
    assert [(r.n, r.seed) for r in server.asked] == [(n, seed), *((1, s) for s in seeds[n - missing :])]
    assert reply.usage == Usage(
        prompt_tokens=3 * (1 + missing), completion_tokens=5 * (first + missing), usd=0.25 * (1 + missing)
    )
    assert reply.truncated == tuple(i for i, s in enumerate(seeds) if s in server.truncated)
    assert [reply.thought(i) for i in range(n)] == [f"thought {s}" if s in server.thoughts else "" for s in seeds]


class Bursts:
    """Serves calls in bursts; notes, whenever one leaves, how many replies were made and how many the journal holds."""

    def __init__(self, folder, burst):
        self.folder, self.burst, self.waiting = folder, burst, []
        self.made, self.at_each_call = 0, []

    def committed(self):
        with Store.read(self.folder) as store:
            return int(sum(row["calls"] for row in store.spent().values()))

    async def complete(self, request):
        self.at_each_call.append((self.made, self.committed()))
        turn = asyncio.get_running_loop().create_future()
        self.waiting.append(turn)
        if len(self.waiting) == self.burst:
            asyncio.get_running_loop().call_soon(self.serve)
        await turn
        self.made += 1
        return Reply(texts=(f"text {request.seed}",))

    def serve(self):
        turns, self.waiting = self.waiting, []
        for turn in turns:
            turn.set_result(None)


@pytest.mark.parametrize(("burst", "calls"), [(1, 6), (4, 24), (8, 64)])
def test_replies_of_one_moment_are_committed_before_they_are_used_and_before_another_call_leaves(
    tmp_path, burst, calls
):
    async def main(store):
        attempts, server = Attempts(), Bursts(tmp_path, burst)
        journalled = Journalled(ConcurrencyLimited(Paid(server, attempts), burst), store)
        attempts.before_each = journalled.commit
        used = []

        async def ask(i):
            reply = await journalled.complete(replace(ONE, seed=i, n=1))
            used.append((server.committed(), len(used) + 1))
            return reply

        replies = await asyncio.gather(*map(ask, range(calls)))
        assert [r.texts for r in replies] == [(f"text {i}",) for i in range(calls)]
        await attempts.stop(journalled, 1.0)
        return server.at_each_call, used

    with Store.open(tmp_path) as store:
        at_each_call, used = asyncio.run(main(store))
    assert len(at_each_call) == calls and all(made == committed for made, committed in at_each_call)
    assert all(committed >= count for committed, count in used)


@pytest.mark.parametrize("reserve", [0, 2**20])
def test_no_call_leaves_once_the_store_keeps_no_more_and_with_a_reserve_none_is_lost(tmp_path, reserve):
    async def main(store):
        attempts, server = Attempts(), Bursts(tmp_path, 4)
        journalled = Journalled(ConcurrencyLimited(Paid(server, attempts), 4), store)
        attempts.before_each = journalled.commit_or_refuse
        if reserve:
            store.hold_reserve(reserve)
        store._db.execute("PRAGMA max_page_count=1")  # at least what it has: the disk is full from now on
        long = replace(ONE, messages=(("user", "x" * 100_000),))
        calls = (journalled.complete(replace(long, seed=i, n=1)) for i in range(12))
        results = await asyncio.gather(*calls, return_exceptions=True)
        await attempts.stop(journalled, 1.0)
        return server.made, results

    with Store.open(tmp_path) as store:
        made, results = asyncio.run(main(store))
        lost = [result for result in results if isinstance(result, StoreError)]
        assert made == 4 and len(lost) == (8 if reserve else 12)
    with Store.open(tmp_path) as store:
        assert len(list(store.calls())) == (4 if reserve else 0)


def test_what_has_arrived_is_kept_when_a_run_is_stopped(tmp_path):
    async def main(store):
        attempts, server = Attempts(), Bursts(tmp_path, 3)
        journalled = Journalled(Paid(server, attempts), store)
        asked = [asyncio.create_task(journalled.complete(replace(ONE, seed=i, n=1))) for i in range(3)]
        while server.made < 3:
            await asyncio.sleep(0)
        for task in asked:
            task.cancel()
        await attempts.stop(journalled, 1.0)

    with Store.open(tmp_path) as store:
        asyncio.run(main(store))
        assert len(list(store.calls())) == 3
