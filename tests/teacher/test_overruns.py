"""What replies teach of a server that ignores `max_tokens` or `n`, figure by figure."""

import pytest

from evoltune.run.store import Store
from evoltune.teacher.overruns import CAUTIOUS_REPLIES, SERVERS_NOTE, Overruns
from evoltune.teacher.protocol import Request


def request(max_tokens=100, n=1):
    return Request(model="m", messages=(("user", "hi"),), purpose="answer", seed=1, max_tokens=max_tokens, n=n)


def test_a_server_that_keeps_max_tokens_is_known_after_one_reply_of_that_size():
    found = Overruns()
    assert found.is_unknown("s", 100) and found.completion("s", request()) == 100 and found.replies("s", 100) == 0
    assert found.replied("s", request(n=2), 2, 151) == 0  # 76 each
    assert not found.is_unknown("s", 100) and found.replies("s", 100) == 1
    assert found.completion("s", request(n=3)) == 300
    assert (
        found.is_unknown("s", 10) and found.completion("s", request(10)) == 2 * 76
    )  # it has not shown that it keeps 10
    assert found.is_unknown("another", 100) and found.replies("another", 100) == 0


def test_exactly_max_tokens_is_kept_and_one_more_is_not():
    kept, over = Overruns(), Overruns()
    kept.replied("s", request(100), 1, 100)
    over.replied("s", request(100), 1, 101)
    assert kept.completion("s", request(100)) == 100
    assert over.completion("s", request(100)) == 202 and over.completion("s", request(500)) == 500
    assert not kept.is_unknown("s", 100) and over.is_unknown("s", 100)


def test_without_max_tokens_nothing_is_overrun():
    found = Overruns()
    assert found.completion("s", request(None)) == 0  # nothing is known of any text
    found.replied("s", request(None), 1, 5_000)
    assert not found.is_unknown("s", 0) and found.completion("s", request(None)) == 0
    assert found.completion("s", request(6_000)) == 10_000  # no reply to 6,000 is there: twice the longest
    found.replied("s", request(6_000), 1, 10)
    assert found.completion("s", request(6_000)) == 6_000


def test_an_overrunning_server_is_known_well_after_some_replies():
    found = Overruns()
    for count in range(1, CAUTIOUS_REPLIES + 2):
        found.replied("s", request(100), 1, 300)
        assert found.is_unknown("s", 100) is (count < CAUTIOUS_REPLIES)
    assert found.replies("s", 100) == CAUTIOUS_REPLIES + 1


def test_texts_that_were_not_asked_for_are_counted_at_most():
    found = Overruns()
    found.replied("s", request(100, n=2), 5, 100)
    found.replied("s", request(100, n=2), 1, 100)
    assert found.completion("s", request(100, n=2)) == (2 + 3) * 100


def test_lost_calls_are_booked_anew_at_twice_the_longest_text_once_it_overruns():
    found = Overruns()
    found.sent("s", (2, 400))
    found.sent("s", (1, 900))
    assert found.replied("s", request(100), 1, 90) == 0  # it keeps what it is asked for so far
    assert found.replied("s", request(100), 1, 350) == 2 * (700 - 400)
    assert found.replied("s", request(100), 1, 350) == 0  # booked once
    assert found.replied("s", request(100), 1, 500) == 2 * (1000 - 700) + (1000 - 900)


def test_a_call_that_was_not_charged_or_came_home_is_not_booked_anew():
    found = Overruns()
    for call in ((1, 400), (1, 401)):
        found.sent("s", call)
    found.never_left("s", (1, 400))
    assert found.replied("s", request(100), 1, 1_000, (1, 401)) == 0
    assert found.replied("s", request(100), 1, 2_000) == 0


@pytest.mark.parametrize("tokens", [60, 300])
def test_what_was_learnt_is_there_in_the_next_session(tmp_path, tokens):
    with Store.open(tmp_path) as store:
        one = Overruns(store)
        one.sent("s", (1, 50))
        one.sent("s", (1, 70))
        one.replied("s", request(100), 2, tokens, (1, 50))
    with Store.open(tmp_path) as store:
        two = Overruns(store)
        assert two.replies("s", 100) == 1
        assert (
            two.completion("s", request(100)) == one.completion("s", request(100)) == 2 * (100 if tokens == 60 else 300)
        )
        assert two.replied("s", request(100), 1, 400) == 800 - (70 if tokens == 60 else 300)


def test_a_well_known_server_is_noted_again_only_when_it_shows_something_new(tmp_path):
    def later():
        return Overruns(store)

    with Store.open(tmp_path) as store:
        found = Overruns(store)
        for count in range(1, CAUTIOUS_REPLIES + 3):
            found.replied("s", request(100), 1, 60)
            assert later().replies("s", 100) == min(count, CAUTIOUS_REPLIES)
        found.replied("s", request(100), 1, 50)  # shorter than the longest: no news
        assert later().replies("s", 100) == CAUTIOUS_REPLIES
        found.replied("s", request(100), 1, 61)
        assert later().replies("s", 100) == found.replies("s", 100) == CAUTIOUS_REPLIES + 4
        assert later().completion("s", request(10)) == 2 * 61
        found.replied("s", request(100), 3, 30)  # texts that were not asked for
        assert later().completion("s", request(100)) == 3 * 100
        found.replied("s", request(100), 1, 500)
        found.replied("s", request(100), 1, 500)
        assert later().completion("s", request(100)) == 3 * 1000
        assert set(store.noted(SERVERS_NOTE)) == {"s"}
