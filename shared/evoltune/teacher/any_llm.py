"""A teacher behind a provider's own interface (Anthropic, Gemini, Mistral, Bedrock, ...), by the library any-llm.

    pip install 'evoltune[providers]' 'any-llm-sdk[anthropic]'
    teacher: {kind: any-llm, model: "anthropic:claude-sonnet-4-5", engine: {reasoning_effort: low}}

The key comes from the provider's own variable (`ANTHROPIC_API_KEY`), or from `endpoints: [{url: ..., api_key_env: ...}]`, whose
address then replaces the provider's. `engine` is passed on with each call. Why any-llm: it drives the providers' own SDKs and
brings 26 packages where LiteLLM brings 60, and two releases of LiteLLM on PyPI stole credentials (OSV MAL-2026-2144).
Invariant: one `complete` is one request; the library's own retries are off, so that budget and journal see every attempt.
"""

import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from evoltune import recipe as recipes
from evoltune.errors import MissingExtraError, RecipeError, TeacherError, require
from evoltune.run.paths import user_path
from evoltune.teacher.protocol import AttemptError, GivenUpError, Reply, Request
from evoltune.teacher.rate_limit import retry_after_s
from evoltune.teacher.replies import reply_of

FATAL = (
    "AuthenticationError", "MissingApiKeyError", "ModelNotFoundError", "InsufficientFundsError", "UnsupportedProviderError",
)  # fmt: skip
ONE_REQUEST = {
    "ContentFilterError": "content filter", "ContentFilterFinishReasonError": "content filter",
    "ContextLengthExceededError": "context too long", "InvalidRequestError": "request refused",
}  # fmt: skip
OPTIONAL = ("seed", "n", "frequency_penalty", "stop", "top_p", "temperature")
"""What a provider may lack; a parameter that is refused once is left out from then on."""


@asynccontextmanager
async def open_any_llm(config: recipes.Teacher) -> AsyncIterator["ProviderTeacher"]:
    """The client of the provider in `model`. Raises MissingExtraError, RecipeError, and TeacherError for a missing key."""
    require("teacher.kind 'any-llm'", "providers", "any_llm")
    provider, _, model = config.model.partition(":")
    if not model:
        raise RecipeError(
            f"teacher.model: {config.model!r} names no provider: write PROVIDER:MODEL, e.g. mistral:open-mistral-7b"
        )
    yield ProviderTeacher(_client(provider, config), provider, model, config)


def _client(provider: str, config: recipes.Teacher) -> Any:
    from any_llm import AnyLLM
    from any_llm.exceptions import AnyLLMError, UnsupportedParameterError

    access: dict[str, Any] = {"unified_exceptions": True}
    if config.endpoints:
        access |= {"api_base": config.endpoints[0].url, "api_key": _key_of(config.endpoints[0])}
    try:
        try:
            return AnyLLM.create(provider, max_retries=0, **access)
        except UnsupportedParameterError:  # this provider's SDK has no retries that could be turned off
            return AnyLLM.create(provider, **access)
    except ImportError as error:
        raise MissingExtraError(f"any-llm-sdk[{provider}]", "providers", f"the provider {provider!r}") from error
    except AnyLLMError as error:
        raise TeacherError(f"teacher: {error}") from error


def _key_of(endpoint: recipes.Endpoint) -> str | None:
    if endpoint.api_key_file:
        return user_path(endpoint.api_key_file).read_text(encoding="utf-8").strip()
    return os.environ.get(endpoint.api_key_env) if endpoint.api_key_env else None


class ProviderTeacher:
    """One attempt a call, through a client of any-llm."""

    def __init__(self, client: Any, provider: str, model: str, config: recipes.Teacher) -> None:
        self._client, self._provider, self._model, self._config = client, provider, model, config
        self._refused: set[str] = set()

    async def complete(self, request: Request) -> Reply:
        sampling: dict[str, Any] = {
            "temperature": request.temperature, "top_p": request.top_p, "max_tokens": request.max_tokens, "seed": request.seed,
            "n": request.n if request.n > 1 else None, "stop": list(request.stop) or None,
            "frequency_penalty": request.frequency_penalty or None,
        }  # fmt: skip
        sent = {k: v for k, v in sampling.items() if v is not None and k not in self._refused}
        messages = [{"role": role, "content": content} for role, content in request.messages]
        try:
            options = {"timeout": self._config.timeout_s, **sent, **request.extra_body, **self._config.engine}
            completion = await self._client.acompletion(model=self._model, messages=messages, **options)
        except Exception as error:  # the SDKs of the providers raise types of their own
            raise self._failure(error, sent) from error
        try:
            return reply_of(completion.model_dump(mode="json", exclude_none=True))
        except ValueError as error:
            raise AttemptError(str(error), where=self._provider, charged=True, answered=True) from error

    def _failure(self, error: Exception, sent: Mapping[str, Any]) -> TeacherError:
        """What an exception means for the request: try again, give it up, or end the run."""
        kind, said = type(error).__name__, f"{self._provider}: {error}"
        refused = getattr(error, "parameter_name", None) or getattr(error, "param", None)
        if refused in OPTIONAL and refused in sent:
            self._refused.add(refused)
            return AttemptError(f"{refused} is not taken, and left out from now on", where=self._provider)
        if kind in FATAL:
            return TeacherError(said)
        if kind in ONE_REQUEST:
            return GivenUpError(ONE_REQUEST[kind], said)
        if kind == "RateLimitError":
            seconds = retry_after_s({"retry-after": str(getattr(error, "retry_after", None) or "")})
            return AttemptError("rate limited", where=said, retry_after_s=seconds, rate_limited=True)
        if isinstance(error, TypeError | NotImplementedError):
            return TeacherError(f"teacher.engine: {said}: this provider does not take these options")
        return AttemptError(
            f"{kind}: {error}", where=self._provider, charged=getattr(error, "status_code", None) is None
        )
