"""What counts as a secret, where it is cut out, and what is left alone."""

from __future__ import annotations

import base64
import json
import os
import urllib.parse

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from evoltune.recipe import dump_recipe, load_recipe, make_recipe, shipped
from evoltune.text.credentials import (
    CUT,
    cuts_in,
    forget_secrets,
    forms,
    is_telling,
    masked,
    note_environment,
    note_secret,
    secrets_in,
    without_credentials,
)

SECRETS = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=8, max_size=30).filter(
    lambda s: s.strip() == s and "***" not in s
)


@given(SECRETS)
def test_a_known_secret_is_cut_out_of_every_form_in_which_it_is_written(secret):
    forget_secrets()
    note_secret(secret)
    for form in forms(secret):
        assert secret not in without_credentials(f"before {form} after"), form
    header = base64.b64encode(f"ada:{secret}".encode()).decode()
    said = without_credentials(f"refused: Basic {header}").partition("Basic ")[2]
    assert not is_telling(secret) or (CUT in said and len(said) < len(header) - len(secret) + 3)
    assert secret not in json.loads(without_credentials(json.dumps({"said": secret})))["said"]


@given(
    SECRETS,
    st.sampled_from(["api_key", "password", "Authorization", "access_token", "clientSecret", "sig", "user_api_key"]),
)
def test_what_stands_under_the_name_of_a_credential_is_masked_and_can_be_noted(secret, name):
    forget_secrets()
    value = {"outer": [{name: secret, "top_k": 5}], "authentication": {"type": "api_key", "anything": secret}}
    shown = masked(value)
    assert shown == {"outer": [{name: CUT, "top_k": 5}], "authentication": {"type": "api_key", "anything": CUT}}
    assert [*cuts_in(shown, "x")] == [f"x.outer.0.{name}", "x.authentication.anything"]
    assert secret in {*secrets_in(value)}


@given(SECRETS, SECRETS)
def test_a_login_is_cut_out_of_a_url_also_when_the_server_shows_it_decoded(user, password):
    forget_secrets()
    login = f"{urllib.parse.quote(user, safe='')}:{urllib.parse.quote(password, safe='')}"
    url = f"https://{login}@host/v1"
    assert without_credentials(url) == "https://***@host/v1"
    for secret in secrets_in(url):
        note_secret(secret)
    assert password not in without_credentials(f"access denied for {password}")


@pytest.mark.parametrize(
    "value",
    [
        {
            "max_tokens": "5",
            "eos_token": "<|im_end|>",
            "prompt_cache_key": "rows-1",
            "tokenizer": "x",
            "monkey": "banana",
        },
        {"stop": ["###"], "api_key_env": "OPENAI_API_KEY", "api_key_header": "X-Key", "reasoning_effort": "low"},
        {"headers": {"Authorization": "Bearer ${MY_KEY}", "X-Title": "my project", "User-Agent": "curl"}},
        {"env": {"WANDB_PROJECT": "mine", "OMP_NUM_THREADS": "4"}, "slurm": {"account": "physics"}},
        {
            "path": "https://host/rows.jsonl?page=2",
            "model": "openai/gpt-oss-120b",
            "dataset": "stackexchange:physics/Posts.xml",
        },
    ],
)
def test_ordinary_settings_stay(value):
    assert masked(value) == value and not [*secrets_in(value)]


@pytest.mark.parametrize(
    "value",
    ["https://ada:${PW}@host/v1", "https://${TOKEN}@host", "https://host/v1?api_key=${KEY}&x=1", "Bearer ${KEY}"],
)
def test_a_name_that_says_where_the_secret_is_stays(value):
    assert masked({"url": value, "env": {"PROXY": value}}) == {"url": value, "env": {"PROXY": value}}
    assert not any("$" in secret for secret in secrets_in({"url": value}))


def test_a_short_password_goes_under_its_name_and_in_its_url_but_takes_no_word_with_it():
    note_secret("guest")
    assert without_credentials("the guest came; amqp://guest:guest@host") == "the guest came; amqp://***@host"
    assert masked({"password": "guest"}) == {"password": CUT}


def test_variables_with_secrets_are_known_by_their_names(monkeypatch, tmp_path):
    for name, value in {
        "X_API_KEY": "abcd-efgh-1",
        "HF_TOKEN": "hf-tok-123",
        "SSH_AUTH_SOCK": str(tmp_path),
        "PWD": "working-dir",
    }.items():
        monkeypatch.setenv(name, value)
    note_environment()
    assert without_credentials(f"abcd-efgh-1 hf-tok-123 {tmp_path} working-dir") == f"*** *** {tmp_path} working-dir"
    assert os.environ["PWD"] == "working-dir"


def test_every_shipped_recipe_is_kept_as_it_is():
    for name in shipped():
        if not name.startswith("base/"):
            recipe = load_recipe(name)
            assert masked(msgspec.to_builtins(recipe)) == msgspec.to_builtins(recipe), name


def test_a_kept_recipe_says_where_something_was_cut_out():
    endpoint = {"url": "http://a:secret-1@h/v1", "headers": {"X-Corp": "abc"}, "extra_body": {"token": "t"}}
    recipe = make_recipe({"domain": "math", "teacher": {"kind": "http", "endpoints": [endpoint]}})
    kept = dump_recipe(recipe)
    assert "secret-1" not in kept and "abc" not in kept and "***@h" in kept
    where = [*cuts_in(masked(msgspec.to_builtins(recipe)), "")]
    assert where == [f"teacher.endpoints.0.{key}" for key in ("url", "headers.X-Corp", "extra_body.token")]


def test_what_stands_as_a_list_where_the_name_of_a_variable_belongs_is_taken_for_a_secret():
    value = {"endpoints": [{"api_key_env": ["cnry-key-77Aa"], "api_key_file": {"key": "cnry-key-88Bb"}}]}
    assert set(secrets_in(value)) == {"cnry-key-77Aa", "cnry-key-88Bb"}
    assert "cnry" not in repr(masked(value))
    assert masked({"api_key_env": "MY_KEY"}) == {"api_key_env": "MY_KEY"}


HEADER_NAMES = (
    "Authorization", "X-Api-Key", "Content-MD5", "X-Amz-Content-Sha256", "x-ms-version-2", "OpenAI-Organization", "Sec-CH-UA-Platform-Version",
    "cf_access_client_id", "X-B3-TraceId", "X-Request.Id", "DNT", "anthropic-beta", "X-Goog-User-Project", "Ocp-Apim-Subscription-Key",
)  # fmt: skip
KEYS_AS_NAMES = st.one_of(
    st.sampled_from(["sk-proj-abcdEFGH1234ijklMNOP", "hf_AbCdEfGhIjKlMnOpQrSt", "Bearer tok3n-Zebra99Quagga", "key: Zebra99Quagga"]),
    st.from_regex(r"[0-9]{2}[a-z]{2}[0-9][a-f0-9]{19}", fullmatch=True),
    st.from_regex(r"[A-Za-z]{2}[0-9]{2}[A-Za-z]{2}[A-Za-z0-9_-]{20}", fullmatch=True),
)  # fmt: skip


@given(KEYS_AS_NAMES, st.sampled_from(["", "x", "Authorization"]))
def test_a_key_in_place_of_a_headers_name_is_cut_out_and_known(key, value):
    forget_secrets()
    endpoint = {"url": "http://h/v1", "headers": {key: value}}
    recipe = make_recipe({"domain": "math", "teacher": {"kind": "http", "endpoints": [endpoint]}})
    assert key not in dump_recipe(recipe) and key not in repr(masked({"headers": {key: value}}))
    assert key in {*secrets_in({"headers": {key: value}})}
    assert "teacher.endpoints.0.headers.***" in [*cuts_in(masked(msgspec.to_builtins(recipe)), "")]
    assert key not in without_credentials(f"teacher.endpoints.0.headers: {key!r} is no name of a header")
    assert masked({"api_key_header": key}) == {"api_key_header": CUT}


@pytest.mark.parametrize("name", HEADER_NAMES)
def test_the_names_of_headers_stay(name):
    assert masked({"headers": {name: "${MY_KEY}"}, "api_key_header": name}) == {
        "headers": {name: "${MY_KEY}"},
        "api_key_header": name,
    }
