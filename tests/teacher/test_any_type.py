"""Whatever types a server puts into its fields, headers and files, what reads them ends as it is documented to end.

One law for each entry point, over JSON of any shape made of the names and values that are read somewhere.
"""

import json
import math
from contextlib import suppress

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from evoltune import recipe as recipes
from evoltune.errors import DataError
from evoltune.evolve.open_calls import import_results
from evoltune.run.store import Store
from evoltune.teacher.attempts import Attempts
from evoltune.teacher.batch_forms import Unanswered, outcome_of, result_id
from evoltune.teacher.bodies import json_of
from evoltune.teacher.budget import charged_usage
from evoltune.teacher.endpoint import Endpoint
from evoltune.teacher.negotiation import mentioned_in, named_in
from evoltune.teacher.notices import clock_after, span
from evoltune.teacher.protocol import AttemptError, GivenUpError, Reply, Request, request_key
from evoltune.teacher.rate_limit import MAX_ASKED_S, RateLimiter, retry_after_s
from evoltune.teacher.refusals import MAX_MESSAGE, error_in_reply, error_of, read_error, said_instead
from evoltune.teacher.replies import MAX_COUNT, FailedReply, parse_reply, reply_of

ASKED = Request(model="m", messages=(("user", "Hi"),), purpose="answer", seed=1)
RAW = Request(model="m", messages=(("prompt", "Hi"),), purpose="answer", seed=1)
NAMES = (
    "choices message delta text content parts type index finish_reason finishReason stop_reason refusal tool_calls thought reasoning "
    "reasoning_content reasoning_details thinking summary usage prompt_tokens completion_tokens total_tokens input_tokens output_tokens "
    "cache_creation_input_tokens cache_read_input_tokens error errors code status status_code http_status detail details msg "
    "error_description error_msg title param loc parameter field reason description fieldViolations retryDelay object promptFeedback "
    "blockReason result response body candidates usageMetadata promptTokenCount candidatesTokenCount thoughtsTokenCount "
    "totalTokenCount custom_id key role"
).split()  # fmt: skip
WORDS = (
    "", "stop", "length", "error", "succeeded", "errored", "text", "thinking", "assistant", "SAFETY", "429", "²", "٣", "3", "1" * 5000,
    "rate_limit_exceeded", "insufficient_quota", "unsupported_parameter", "messages[0].role", "body.top_p", "31s", "1e999s", "{", '{"a": 1}',
    '{"error": ' * 30 + "1" + "}" * 30, "<think>a</think>b", "\ud800", "\x00", "Hello.", "[DONE]",
)  # fmt: skip
LEAVES = (
    st.none() | st.booleans() | st.integers(-2, 600) | st.sampled_from([2**31, 2**63, 2**64, -(2**70), 10**400])
    | st.floats() | st.sampled_from(WORDS) | st.text(max_size=5)
)  # fmt: skip
VALUES = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=4),
    max_leaves=12,
)
OBJECTS = st.dictionaries(st.sampled_from(NAMES), VALUES, max_size=5)
COMPLETIONS = st.builds(dict, OBJECTS, choices=VALUES | st.lists(OBJECTS, max_size=2)) | OBJECTS
BODIES = st.one_of(
    COMPLETIONS.map(json.dumps), VALUES.map(json.dumps),
    st.lists(COMPLETIONS.map(json.dumps) | st.sampled_from(WORDS), max_size=3).map(
        lambda events: "".join(f"data: {event}\n\n" for event in events) + "data: [DONE]\n\n"
    ),
).map(lambda text: text.encode("utf-8", "surrogatepass")) | st.binary(max_size=20)  # fmt: skip
HEADERS = st.dictionaries(
    st.sampled_from(
        ["retry-after", "retry-after-ms", "x-ratelimit-reset", "x-ratelimit-remaining", "location"]
        + [f"x-ratelimit-{part}-{kind}" for part in ("limit", "remaining", "reset") for kind in ("requests", "tokens")]
    ),
    st.sampled_from(WORDS) | st.text(max_size=8) | st.floats().map(str) | st.integers().map(str)
    | st.sampled_from(["6m0s", "1e400", "Mon, 01 Jan 0001 00:00:00 GMT", "Fri, 31 Dec 9999 23:59:59 -2359", "99999999d", "http://[x/"]),
    max_size=6,
)  # fmt: skip


def is_usable(reply: Reply) -> bool:
    """Whether a reply can be charged and stored: texts that UTF-8 can hold, counts that a column can."""
    "".join((*reply.texts, *reply.thoughts)).encode()
    counts = (reply.usage.prompt_tokens, reply.usage.completion_tokens)
    assert all(isinstance(count, int) and 0 <= count <= 2 * MAX_COUNT for count in counts)
    assert charged_usage(ASKED, reply).completion_tokens >= 0
    assert all(0 <= i < len(reply.texts) for i in reply.truncated)
    return bool(reply.texts)


def is_readable(error) -> bool:
    """Whether an error can be shown and decided about."""
    error.message.encode()
    named_in(error, ["top_p", "n"]), mentioned_in(error, ["top_p", "n"])
    assert error.is_account + error.is_content + error.is_too_long + error.is_throttled >= 0
    return len(error.message) <= MAX_MESSAGE and 0 <= error.retry_after_s <= MAX_ASKED_S and error.status > 0


@given(BODIES, st.sampled_from([ASKED, RAW]))
@example(b'{"choices": true}', ASKED)
def test_a_body_is_a_reply_or_says_why_not(body, request):
    with suppress(ValueError, GivenUpError):
        assert is_usable(parse_reply(body, request))
    with suppress(ValueError):
        json_of(body)
    assert len(said_instead(body)) <= MAX_MESSAGE


@given(COMPLETIONS | VALUES)
def test_a_parsed_completion_is_a_reply_or_says_why_not(completion):
    try:
        assert is_usable(reply_of(completion))
    except FailedReply as failed:
        assert is_readable(failed.error)
    except GivenUpError as error:
        error.detail.encode()
    except ValueError as error:
        str(error).encode()


@given(st.integers(300, 599), BODIES)
def test_any_error_body_can_be_read(status, body):
    assert is_readable(read_error(status, body))


@given(st.integers(300, 599), VALUES)
@example(400, {"error": {"code": "²"}})
@example(400, {"error": {"code": "1" * 5000}})
def test_any_parsed_error_can_be_read(status, raw):
    assert is_readable(error_of(status, raw))
    if isinstance(raw, dict) and (error := error_in_reply(raw)):
        assert is_readable(error)


LINES = st.one_of(
    OBJECTS,
    st.builds(dict, OBJECTS, custom_id=st.just("k"), response=st.builds(dict, OBJECTS, status_code=VALUES, body=VALUES | COMPLETIONS)),
    st.builds(dict, OBJECTS, custom_id=st.just("k"), result=st.builds(dict, OBJECTS, type=st.just("succeeded"), message=VALUES | OBJECTS)),
    st.builds(dict, OBJECTS, custom_id=st.just("k"), result=st.builds(dict, OBJECTS, error=VALUES | OBJECTS)),
    st.builds(dict, OBJECTS, key=st.just("k"), response=st.builds(dict, OBJECTS, candidates=VALUES | st.lists(OBJECTS))),
    st.builds(dict, OBJECTS, key=st.just("k"), response=st.builds(dict, OBJECTS, promptFeedback=VALUES)),
)  # fmt: skip


@given(LINES)
@example(
    {
        "key": "k",
        "response": {"candidates": [{"content": {"parts": []}}], "usageMetadata": {"candidatesTokenCount": "3"}},
    }
)
@example({"key": "k", "error": {"code": "²"}})
def test_a_line_of_a_batch_is_a_reply_or_says_why_not(line):
    result_id(line)
    outcome = outcome_of(line)
    if isinstance(outcome, Unanswered):
        outcome.reason.encode()
        assert outcome.error is None or is_readable(outcome.error)
    else:
        assert is_usable(outcome)


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    with Store.open(tmp_path_factory.mktemp("store")) as store:
        yield store


SAMPLES = st.sampled_from(["", "-", "-0", "-1", "-2", "-²", "-01", "-1-1", "-x"])


@given(st.lists(st.tuples(SAMPLES, LINES), max_size=5), st.integers(1, 3))
@settings(max_examples=settings().max_examples // 4)  # each commits to a store
def test_any_results_are_imported_and_each_call_counts_once(store, tmp_path_factory, found, n):
    request = Request(model="m", messages=(("user", "Hi"),), purpose="answer", seed=n, n=n)
    path = tmp_path_factory.getbasetemp() / "any-samples.jsonl"
    lines = ({**line, "custom_id": f"{request_key(request)}{sample}"} for sample, line in found)
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    try:
        counts = import_results(recipes.Recipe(domain="d"), store, {request_key(request): request}, path)
    except DataError:  # a number that JSON cannot hold
        return
    assert counts.journalled + (request_key(request) in counts.refused) + len(counts.failed) <= 1
    assert counts.unknown <= len(found)


@given(HEADERS)
@example({"retry-after": "Mon, 01 Jan 0001 00:00:00 GMT"})
def test_any_headers_ask_for_a_time_that_can_be_waited(headers):
    asked = retry_after_s(headers)
    assert 0 <= asked <= MAX_ASKED_S
    clock_after(asked), span(asked)
    limiter = RateLimiter(clock=lambda: 1e6)
    limiter.served(3, headers)
    assert limiter.rate > 0 and math.isfinite(limiter.ready_at())
    assert 0 <= limiter.refused(limiter.leave(5), headers) <= MAX_ASKED_S + 60
    assert limiter.rate > 0 and math.isfinite(limiter.ready_at())


@given(st.integers(300, 599), BODIES, HEADERS)
@example(302, b"", {"location": "http://[x/"})
def test_any_status_with_any_headers_is_an_error_that_can_be_shown(server, status, body, headers):
    server.unusable = ""
    error = server._fault(read_error(status, body), headers, 0.0)
    assert isinstance(error, AttemptError) or type(error).__name__ == "Refusal"
    f"{error}{server.unusable}".encode()


@pytest.fixture(scope="module")
def server():
    config = recipes.Endpoint(url="http://127.0.0.1:1/v1")
    teacher = recipes.Teacher(kind="http", model="m", endpoints=(config,))
    return Endpoint(config, teacher, "teacher.endpoints.0", None, Attempts())
