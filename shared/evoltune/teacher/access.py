"""How a server is reached: its URLs, headers and options, with what the environment holds in place of `${NAME}`.

    access = access_of(endpoint, teacher, "teacher.endpoints.0")
    content = access.without_secrets(content)     # some servers send back what they were sent

Invariant: the secrets of an access are noted, so that nothing that is printed or written shows them.
"""

import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import SplitResult, urlsplit

import msgspec
import orjson

from evoltune import recipe as recipes
from evoltune.errors import RecipeError
from evoltune.run.paths import user_path
from evoltune.teacher.connections import Target, target_of
from evoltune.teacher.dialects import chat_url, check_extra_body
from evoltune.teacher.network import proxy_of
from evoltune.teacher.protocol import Request
from evoltune.text.credentials import (
    CUT,
    cuts_in,
    expand_all,
    forms,
    is_telling,
    note_secrets,
    secrets_in,
    secrets_of_url,
    without_credentials,
)  # fmt: skip

_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_CONTROLS = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")


@dataclass(frozen=True, kw_only=True)
class Access:
    """What requests to one server need."""

    target: Target
    completions_target: Target
    name: str
    """The URL as it may be shown."""
    proxy: str | None
    extra_body: Mapping[str, Any]
    teacher_extra: Mapping[str, Any]
    """`teacher.extra_body`, which requests carry as it stands in the recipe."""
    secrets: tuple[bytes, ...]
    lacks: str = ""
    """Why it cannot be used: its secrets were cut out when the recipe was kept."""

    def extra_of(self, request: Request) -> Mapping[str, Any]:
        """What a request's body holds beside the usual."""
        own = self.teacher_extra if request.extra_body else {}
        return {**own, **self.extra_body}

    def without_secrets(self, content: bytes) -> bytes:
        for secret in self.secrets:
            if secret in content:
                content = content.replace(secret, CUT.encode())
        return content


def access_of(config: recipes.Endpoint, teacher: recipes.Teacher, where: str) -> Access:
    """`where` is the key in the recipe, for errors. Raises RecipeError: a bad URL, a key or variable that is not there."""
    check_extra_body(config.extra_body, where)
    raw: dict[str, Any] = msgspec.to_builtins(config)
    lacks = next(
        (f"{place}: a secret was cut out here: give it again, best as ${{NAME}}" for place in cuts_in(raw, where)), ""
    )
    given = {name: expand_all(raw[name], f"{where}.{name}") for name in ("url", "headers", "query", "extra_body")}
    teacher_extra = expand_all(teacher.extra_body, "teacher.extra_body")
    chat = chat_url(given["url"], where, given["query"])
    url = urlsplit(chat)
    key = _read_key(config, where)
    is_azure = "/openai/deployments/" in url.path
    name = config.api_key_header or ("api-key" if is_azure else "Authorization")
    named = {name: f"Bearer {key}" if name.lower() == "authorization" else key} if key else {}
    headers = {"Content-Type": "application/json", **named, **given["headers"]}
    _check_headers(headers, url, where)
    variables = (os.environ[v] for v in re.findall(r"\$\{(\w+)\}", orjson.dumps([raw, teacher.extra_body]).decode()))
    secrets = [key, *variables, *secrets_in(given), *secrets_in(teacher_extra), *secrets_of_url(chat)]
    note_secrets(secrets)
    shown = without_credentials(given["url"].partition("?")[0])
    proxy = proxy_of(chat)
    raw_url = url._replace(path=f"{url.path.removesuffix('/chat/completions')}/completions").geturl()
    return Access(
        target=target_of(chat, headers, proxy), completions_target=target_of(raw_url, headers, proxy), name=shown, proxy=proxy,
        extra_body=given["extra_body"], teacher_extra=teacher_extra, secrets=tuple(dict.fromkeys(_bytes(secrets))), lacks=lacks,
    )  # fmt: skip


def _check_headers(headers: Mapping[str, str], url: SplitResult, where: str) -> None:
    """Raises RecipeError for what HTTP cannot send. No message shows a value: it may be a key."""
    for name, value in headers.items():
        if not _HEADER_NAME.fullmatch(name):
            raise RecipeError(f"{where}.headers: {name!r} is no name of a header")
        if _CONTROLS.search(value):
            raise RecipeError(
                f"{where}: the value of the header {name!r} has a line break or another control character: give the key, or "
                "the header, on one line"
            )
    if url.username is not None and any(name.lower() == "authorization" for name in headers):
        raise RecipeError(
            f"{where}: the login in the url and the key are both sent as the header Authorization: leave one out, or name "
            "another header for the key (api_key_header)"
        )


def _bytes(secrets: list[str]) -> Iterator[bytes]:
    """Every form of the secrets, longer ones first, so that no rest of one stays."""
    found = {form for secret in secrets if is_telling(secret.strip()) for form in forms(secret.strip())}
    yield from (form.encode("utf-8", "replace") for form in sorted(found, key=lambda form: (-len(form), form)))


def _read_key(config: recipes.Endpoint, where: str) -> str:
    """The API key from its variable or file; "" when the recipe names none. Raises RecipeError."""
    if config.api_key_env:
        if not re.fullmatch(
            r"[A-Za-z_]\w*", config.api_key_env, re.ASCII
        ):  # perhaps the key itself, so it is not shown
            raise RecipeError(
                f"{where}.api_key_env: not the name of a variable: put the key into one, and its name here"
            )
        key = os.environ.get(config.api_key_env, "").strip()
        if not key:
            raise RecipeError(f"{where}.api_key_env: the environment variable {config.api_key_env!r} is not set")
        return key
    if config.api_key_file:
        path = user_path(config.api_key_file)
        try:
            key = path.read_text(encoding="utf-8-sig").strip()
        except (OSError, UnicodeDecodeError) as error:
            said = error.strerror if isinstance(error, OSError) else error
            # A name without a dot or a slash may be the key itself, so it is not shown.
            shown = repr(str(path)) if re.search(r"[./]", config.api_key_file) else "what it names"
            raise RecipeError(
                f"{where}.api_key_file: {shown} cannot be read: {said}: give the path of a file"
            ) from None
        if not key:
            raise RecipeError(f"{where}.api_key_file: {str(path)!r} is empty: write the key into it")
        return key
    return ""
