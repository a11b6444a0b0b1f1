"""Passwords and keys, cut out of what is printed or written.

    note_secret(os.environ["OPENAI_API_KEY"])
    without_credentials("http://ada:secret@host/v1?api_key=s3cret")     # "http://***@host/v1?api_key=***"
    masked({"extra_body": {"api_key": "abc", "top_k": 5}})              # {"extra_body": {"api_key": "***", "top_k": 5}}

Three laws. What stands in a URL where a credential stands goes, known or not. A value under the name of a credential (`api_key`,
`password`, `Authorization`) goes. And a secret that was given to this process, in a variable, a recipe, a file or a URL, goes
wherever it turns up again, in each encoding that we write: a server may send it back.
"""

import base64
import html
import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, quote, quote_plus, unquote, unquote_plus, urlsplit

from evoltune.errors import RecipeError

CUT = "***"
"""Stands where a secret stood."""
MIN_LENGTH, MIN_MIXED = 8, 5
"""A secret is cut out of any text from this length on, or from the second if it is not of letters alone: a password such as
`guest` would take ordinary words with it. In a URL and under a name, a value of any length goes."""

_WORDS = (
    r"(?:api|access|account|auth|bearer|bot|client|csrf|encryption|hf|hub|id|license|private|publish|refresh|secret|"
    r"secure|service|session|shared|signing|storage|subscription|user|wandb|webhook|x)"
)
_NAME = (
    rf"(?:key|token|pat|sas|pwd|pass|sig|(?:[\w.-]*[_.-])?{_WORDS}[_.-]?(?:key|token)|"
    r"[\w.-]*(?:api[_.-]?key|secret|passwd|password|passphrase|credential|authorization|authentication|signature|cookie)[\w.-]*|"
    r"auth|bearer)"
)
_IS_NAME = re.compile(_NAME, re.IGNORECASE)
_VARIABLE_PARTS = {
    "KEY", "APIKEY", "TOKEN", "SECRET", "PASSWORD", "PASSWD", "PASSPHRASE", "CREDENTIAL", "CREDENTIALS", "PAT", "AUTH", "SAS",
    "BEARER", "COOKIE",
}  # fmt: skip
_ALL_SECRET = {"headers", "env"}
"""Sections whose values are judged by `_inner_name`; a text in place of one is taken for a secret."""
_PLAIN_HEADERS = {
    "accept", "accept-language", "anthropic-beta", "anthropic-version", "content-type", "http-referer", "openai-organization",
    "openai-project", "referer", "user-agent", "x-title",
}  # fmt: skip
_HEADER = re.compile(r"(?:[a-z]{1,20}\d{0,3}|\d{1,3})(?:[-_.](?:[a-z]{1,20}\d{0,3}|\d{1,3}))*", re.IGNORECASE)
"""What a header is called: words, with a number at most. Anything else in its place may be the key itself."""
_VARIABLE = re.compile(r"\$\{(\w+)\}")
_USER = re.compile(r"(?<=://)(?!(?:[^/\s@:]*:)?\$\{\w+\}@)(?:[^/\s@'\"<>\\]*:[^/\s'\"<>]*|[^/\s@'\"<>\\:]+)@")
_PARAMETER = re.compile(rf"([?&;]{_NAME}=)(?!\$\{{\w+\}}(?![\w-]))[^&\s'\"<>#]*[^&\s'\"<>#:,.)\]}}]", re.IGNORECASE)
_SHAPE = re.compile(
    r"\b(?:sk-(?:[\w]+-)*[A-Za-z0-9_-]{16,}|hf_[A-Za-z0-9]{16,}|gh[pousr]_[A-Za-z0-9]{20,}|github_pat_\w{20,}|glpat-[\w-]{16,}|"
    r"xox[abprs]-[\w-]{10,}|AKIA[A-Z0-9]{16}|AIza[\w-]{30,}|eyJ[\w-]{10,}\.eyJ[\w-]{10,}\.[\w-]{10,})"
)
"""Keys that can be told from their form: OpenAI, Hugging Face, GitHub, GitLab, Slack, AWS, Google, JSON web tokens."""
_IS_CUT = re.compile(rf"://\*\*\*@|[?&;]{_NAME}=\*\*\*(?:&|$)", re.IGNORECASE)
_FROM_VARIABLE = re.compile(r"(?:[A-Za-z]+\s+)?\$\{\w+\}\s*")
_SCHEME = re.compile(r"(?:bearer|basic|token|key|apikey)\s+(\S+)", re.IGNORECASE)
_known: dict[str, None] = {}
"""Every form of every secret that was given to this process."""


def without_credentials(text: str) -> str:
    """The text without the credentials of its URLs and without any secret that this process was given."""
    if "://" in text or "=" in text:
        text = _PARAMETER.sub(rf"\1{CUT}", _USER.sub(f"{CUT}@", text))
    for secret in _known:
        if secret in text:
            text = text.replace(secret, CUT)
    return text


def masked(value: Any, name: str = "") -> Any:
    """The same JSON value with `***` for each credential in it: by its name, its form, its place in a URL, or because it is
    known. `${NAME}` stays: it says where the secret is, and is none."""
    if isinstance(value, str):
        if _IS_NAME.fullmatch(name) and value and not _FROM_VARIABLE.fullmatch(value):
            return CUT
        return _SHAPE.sub(CUT, without_credentials(value))
    if isinstance(value, Mapping):
        below = _IS_NAME.fullmatch(name) is not None
        return {
            _masked_key(name, key): masked(inner, _inner_name(name, str(key), below, inner))
            for key, inner in value.items()
        }
    if isinstance(value, list | tuple):
        return type(value)(masked(inner, name) for inner in value)
    return value


def _masked_key(outer: str, key: Any) -> Any:
    """The name in a mapping, which is a secret where somebody wrote the key in place of a header's name, or one that has its form."""
    if not isinstance(key, str):
        return key
    return CUT if outer == "headers" and not _HEADER.fullmatch(key) else _SHAPE.sub(CUT, without_credentials(key))


def _secrets_in_key(outer: str, key: str) -> Iterator[str]:
    if outer == "headers" and key and not _HEADER.fullmatch(key):
        yield from (key, *_SCHEME.findall(key))
    yield from (*secrets_of_url(key), *_SHAPE.findall(key))


def secrets_in(value: Any, name: str = "") -> Iterator[str]:
    """The secrets in a JSON value: each that `masked` would cut because of its name, its form or its place in a URL."""
    if isinstance(value, str):
        if (_IS_NAME.fullmatch(name) or name in _ALL_SECRET) and not _FROM_VARIABLE.fullmatch(value):
            yield from (value, *_SCHEME.findall(value))
        yield from secrets_of_url(value)
        yield from _SHAPE.findall(value)
    elif isinstance(value, Mapping):
        below = _IS_NAME.fullmatch(name) is not None
        for key, inner in value.items():
            yield from _secrets_in_key(name, str(key))
            yield from secrets_in(inner, _inner_name(name, str(key), below, inner))
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from secrets_in(inner, name)


def cuts_in(value: Any, path: str, name: str = "") -> Iterator[str]:
    """The key paths at which something was cut out of a JSON value."""
    if isinstance(value, str):
        if _IS_CUT.search(value) or (value == CUT and _IS_NAME.fullmatch(name)):
            yield path
    elif isinstance(value, Mapping):
        below = _IS_NAME.fullmatch(name) is not None
        for key, inner in value.items():
            if CUT in str(key):
                yield f"{path}.{key}".lstrip(".")
            yield from cuts_in(inner, f"{path}.{key}".lstrip("."), _inner_name(name, str(key), below, inner))
    elif isinstance(value, list | tuple):
        for i, inner in enumerate(value):
            yield from cuts_in(inner, f"{path}.{i}", name)


def _inner_name(outer: str, key: str, below: bool, inner: Any) -> str:
    """The name by which a value in a mapping is judged: all below `authentication` is secret, and any header that is not known
    to be none; a variable counts by the parts of its name. What is no name of a variable or a file may be the key itself."""
    if below and key != "type":
        return "secret"
    if outer == "headers":
        return "" if key.lower() in _PLAIN_HEADERS else "secret"
    if outer == "env":
        return "secret" if is_secret_variable(key) else ""
    if key == "api_key_header" and isinstance(inner, str) and inner and not _HEADER.fullmatch(inner):
        return "secret"
    if key in ("api_key_env", "api_key_file", "api_key_header"):
        return "secret" if isinstance(inner, list | tuple | Mapping) else ""
    return key


def secrets_of_url(url: str) -> Iterator[str]:
    """The login of a URL, as written and as sent, and the values of its parameters that hold keys."""
    if "://" not in url:
        return
    whole = re.match(r"[^\s:/]+://([^\s/?#]+)@", url)  # one address, in which a password may have any character
    for login in {*(found.removesuffix("@") for found in _USER.findall(url)), *(whole.groups() if whole else ())}:
        user, colon, password = login.partition(":")
        if _VARIABLE.fullmatch(password if colon else user):
            continue
        yield password if colon else user
        if len(user) >= MIN_LENGTH and any(map(str.isdigit, user)):  # an access key's id, and no `postgres`
            yield user
        yield base64.b64encode(f"{unquote(user)}:{unquote(password)}".encode()).decode().rstrip("=")
    try:
        pairs = parse_qsl(urlsplit(url).query)
    except ValueError:
        return
    yield from (value for name, value in pairs if _IS_NAME.fullmatch(name) and not _VARIABLE.fullmatch(value))


def is_secret_variable(name: str) -> bool:
    """Whether an environment variable holds a secret, by its name: `OPENAI_API_KEY`, `HF_TOKEN`, `MAIL_PASSWORD`."""
    return bool(_VARIABLE_PARTS & set(re.split(r"[_\W]+", name.upper())))


def forms(secret: str) -> Iterator[str]:
    """The secret as JSON, HTML, URLs, headers and dumps of bytes write it."""
    plain = unquote_plus(secret) if "%" in secret else secret
    for text in dict.fromkeys((secret, plain, *(line for line in plain.splitlines() if len(line) > MIN_LENGTH))):
        escaped = json.dumps(text)[1:-1]
        unicode = json.dumps(text, ensure_ascii=False)[1:-1]
        yield from (text, escaped, unicode, json.dumps(escaped)[1:-1], html.escape(text), quote(text, safe=""))
        yield from (quote_plus(text), quote(text), repr(text)[1:-1])
        yield html.escape(text).replace("&#x27;", "&#39;").replace("&quot;", "&#34;")  # as markupsafe writes them
        data = text.encode("utf-8", "surrogatepass")
        yield from (data.hex(), data.hex().upper(), *_in_base64(data))


def _in_base64(secret: bytes) -> Iterator[str]:
    """The secret in base64, alone and within a longer text (`user:secret`, a header): what does not depend on its neighbours is
    the same at each of three places."""
    for before in range(3):
        encoded = base64.b64encode(bytes(before) + secret).decode().rstrip("=")
        first, last = -(-8 * before // 6), 8 * (before + len(secret)) // 6
        for text in (encoded[first:], encoded[first:last]) if not before else (encoded[first:last],):
            if len(text) >= MIN_LENGTH:
                yield from (text, text.replace("+", "-").replace("/", "_"))


def note_secret(secret: str) -> None:
    """From now on this secret is cut out of everything."""
    secret = secret.strip()
    if is_telling(secret):
        for form in sorted(forms(secret), key=len, reverse=True):
            _known.setdefault(form)


def is_telling(secret: str) -> bool:
    """Whether a secret is long enough to be cut out of any text."""
    return len(secret) >= MIN_LENGTH or (len(secret) >= MIN_MIXED and not secret.isalpha())


def note_secrets(secrets: Iterable[str]) -> None:
    for secret in secrets:
        note_secret(secret)


def expand(value: str, where: str, *, is_secret: bool = True) -> str:
    """A text of the recipe with `${NAME}` replaced from the environment, from then on a secret (where `is_secret` is false, only
    if NAME says so). Raises RecipeError for one that is not set."""

    def variable(found: re.Match[str]) -> str:
        if (text := os.environ.get(found[1])) is None:
            raise RecipeError(f"{where}: the environment variable {found[1]!r} is not set")
        if is_secret or is_secret_variable(found[1]):
            note_secret(text)
        return text.strip()

    return _VARIABLE.sub(variable, value)


def expand_all(value: Any, where: str) -> Any:
    """`expand` for every text in a JSON value."""
    if isinstance(value, str):
        return expand(value, where)
    if isinstance(value, Mapping):
        return {key: expand_all(inner, f"{where}.{key}") for key, inner in value.items()}
    return [expand_all(inner, where) for inner in value] if isinstance(value, list | tuple) else value


def note_environment() -> None:
    """Notes the secrets among the environment's variables, by their names and as parts of URLs. Paths are none."""
    for name, value in os.environ.items():
        note_secrets(secrets_of_url(value))
        if is_secret_variable(name) and not _is_path(value):
            note_secret(value)


def _is_path(value: str) -> bool:
    try:
        return Path(value).exists()
    except (OSError, ValueError):
        return False


def forget_secrets() -> None:
    """Cuts nothing more because it is known (for tests)."""
    _known.clear()
