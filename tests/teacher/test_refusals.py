"""Error bodies in the shapes that servers use: the sentence, the codes, and the parameters that they name."""

import json

import pytest

from evoltune.teacher.refusals import error_in_reply, error_of, read_error, said_instead


def error(status, body):
    return read_error(status, body if isinstance(body, bytes) else json.dumps(body).encode())


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"error": {"message": "too\nlong", "code": "context"}}, "too long"),
        ({"message": "no", "code": 7}, "no"),
        ({"detail": "not found"}, "not found"),
        ({"error": "busy"}, "busy"),
        ([{"error": {"code": 400, "message": "bad field", "status": "INVALID_ARGUMENT"}}], "bad field"),
        ({"object": "error", "message": {"detail": [{"msg": "no such field"}]}}, "no such field"),
        (
            {"error": {"message": 'upstream - {"error": {"message": "too hot"}}'}},
            'upstream - {"error": {"message": "too hot"}}; too hot',
        ),
        (
            {"error": {"message": "Provider returned error", "metadata": {"raw": "m is busy upstream"}}},
            "Provider returned error; m is busy upstream",
        ),
        (b"<html>\n502  Bad Gateway", "(a web page) 502 Bad Gateway"),
        (b"x" * 500, "x" * 299 + "\u2026"),
        (b"", ""),
    ],
)
def test_the_sentence_is_found_in_any_shape(body, message):
    assert error(400, body).message == message


@pytest.mark.parametrize(
    ("body", "refused"),
    [
        ({"error": {"message": "x", "param": "top_p", "code": "unsupported_parameter"}}, ("top_p",)),
        ({"error": {"message": "x", "param": "messages[0].role", "code": "unsupported_value"}}, ("system", "messages")),
        ({"detail": [{"type": "extra_forbidden", "loc": ["body", "seed"]}]}, ("seed",)),
        ({"message": json.dumps({"detail": [{"type": "extra_forbidden", "loc": ["body", "n"]}]})}, ("n",)),
        ({"error": {"message": "x", "param": "max_tokens", "code": 400, "type": "BadRequestError"}}, ()),
        ({"error": {"message": "top_p is not supported", "code": "invalid_request_error"}}, ()),
    ],
)
def test_a_parameter_counts_as_refused_only_where_a_field_says_so(body, refused):
    assert error(400, body).refused == refused


@pytest.mark.parametrize(
    ("body", "mentioned"),
    [
        ({"code": "bad", "error": "Not taken here: presencePenalty"}, "presence_penalty"),
        (
            [{"error": {"message": "x", "details": [{"fieldViolations": [{"description": "Unknown name seed"}]}]}}],
            "seed",
        ),
        ({"error": {"message": "`temperature` beside `top_p` is too much"}}, "top_p"),
        ({"error": {"message": "x", "param": "max_tokens", "code": 400}}, "max_tokens"),
    ],
)
def test_words_that_could_be_parameters_are_found(body, mentioned):
    assert mentioned in error(400, body).mentioned


@pytest.mark.parametrize(
    ("status", "body", "is_account"),
    [
        (429, {"error": {"code": "insufficient_quota"}}, True),
        (400, {"error": {"type": "budget_exceeded", "code": "400"}}, True),
        (403, {"error": {"type": "InsufficientBalance"}}, True),
        (400, {"error": {"code": "billing_hard_limit_reached"}}, True),
        (402, {}, True),
        (429, {"error": {"type": "requests", "code": "rate_limit_exceeded"}}, False),
        (429, {"type": "too_many_requests_error", "param": "quota", "code": "request_quota_exceeded"}, False),
        (429, {"error": {"type": "rate_limit", "code": "billing_quota"}}, True),
        (429, {"error": {"status": "RESOURCE_EXHAUSTED", "message": "quota of this minute"}}, False),
        (400, {"error": {"message": "the budget of words is exceeded"}}, False),
    ],
)
def test_an_account_that_is_used_up_is_known_by_its_code(status, body, is_account):
    assert error(status, body).is_account is is_account


@pytest.mark.parametrize(
    ("status", "body", "is_throttled"),
    [
        (400, {"__type": "com.example#ThrottlingException"}, True),
        (403, {"error": {"code": 403, "errors": [{"reason": "userRateLimitExceeded"}]}}, True),
        (429, {"error": {"code": "Throttling.RateQuota"}}, True),
        (413, {"error": {"type": "tokens", "code": "rate_limit_exceeded"}}, False),
        (400, {"error": {"message": "rate_limit_exceeded", "code": "bad"}}, False),
    ],
)
def test_a_slower_pace_is_asked_for_by_status_or_code(status, body, is_throttled):
    assert error(status, body).is_throttled is is_throttled
    assert not error(status, body).is_account


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"<!doctype html>\n<title>Web &amp; UI</title><style>p {}</style><p>Log in", "(a web page) Web & UI Log in"),
        (b"unsupported model: m", "unsupported model: m"),
        (b'{"success": false, "errors": [{"code": 7000, "message": "No route"}], "result": null}', "No route"),
        (b'"busy"', "busy"),
        (b'{"choices": [{"message": {"content": null}}]}', ""),
        (b'{"choices": [{"message": {"content": "half', ""),
    ],
)
def test_what_is_said_in_place_of_a_completion(body, said):
    assert said_instead(body) == said


def test_filters_are_known_by_their_code_and_retry_delays_are_read():
    azure = {"error": {"code": "content_filter", "innererror": {"code": "ResponsibleAIPolicyViolation"}}}
    assert error(400, azure).is_content and not error(400, {"error": {"message": "content_filter"}}).is_content
    assert error(429, {"error": {"details": [{"retryDelay": "31.5s"}]}}).retry_after_s == 31.5


@pytest.mark.parametrize(
    "body",
    [
        b"null",
        b"[]",
        b"3",
        b'"x"',
        b'{"error": null}',
        b'{"error": [1]}',
        b"[" * 400,
        b'{"a":' * 300 + b"1" + b"}" * 300,
    ],
)
def test_odd_bodies_are_read_too(body):
    assert error(500, body).status == 500


def test_an_error_beside_a_choice_without_text_is_one():
    error = {"message": "Provider returned error", "code": 429}
    empty = {"choices": [{"message": {"content": None}, "finish_reason": "stop"}], "error": error}
    assert error_in_reply(empty).status == 429
    assert error_in_reply({**empty, "choices": [{"message": {"content": "It rises."}}]}) is None


@pytest.mark.parametrize(
    ("code", "too_long"),
    [
        ("exceed_context_size_error", True),
        ("context_length_exceeded", True),
        ("context", False),
        ("server_error", False),
    ],
)
def test_a_prompt_that_does_not_fit_is_known_by_its_code(code, too_long):
    assert error_of(500, {"error": {"message": "no", "type": code}}).is_too_long is too_long
