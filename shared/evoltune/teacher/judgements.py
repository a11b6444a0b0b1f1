"""Judgements: replies of a few tokens, and of more where the model thinks before it speaks.

    judgements = Judgements(teacher, recipe.teacher, store)
    reply = await judgements.complete(request)      # request.max_tokens=16; asked with the teacher's own max_tokens where it thinks

That it thinks is learnt by the first judgement, for which the others wait, and noted with the run: the short call is made once. Invariant:
what the journal holds of short calls is used all the same, and nothing is paid twice.
"""

import asyncio
from dataclasses import dataclass, field, replace

from evoltune import recipe as recipes
from evoltune.run.store import Store
from evoltune.teacher.protocol import Reply, Request, Teacher, request_key


@dataclass
class Judgements:
    """The short replies of a teacher. `settings`: whose `max_tokens` is what a reply with reasoning may take."""

    teacher: Teacher
    settings: recipes.Teacher
    store: Store
    _is_known: bool = field(default=False, init=False)
    _first: asyncio.Lock = field(default_factory=asyncio.Lock, init=False)

    async def complete(self, request: Request) -> Reply:
        """One text. Raises what the teacher raises."""
        async with self._first:
            if not self._is_known:
                try:
                    return await self._complete(request)
                finally:
                    self._is_known = True
        return await self._complete(request)

    async def _complete(self, request: Request) -> Reply:
        note = f"teacher thinks:{self.settings.model}"
        if not self.store.noted(note) or self.store.reply(request_key(request)) is not None:
            reply = await self.teacher.complete(request)
            if not _ended_in_thought(reply):
                return reply
            self.store.note(note, True)
        return await self.teacher.complete(replace(request, max_tokens=self.settings.max_tokens))


def _ended_in_thought(reply: Reply) -> bool:
    return bool(reply.truncated) and (not reply.texts[0].strip() or bool(reply.thought(0)))
