"""Calls in, outcomes out, of one model behind an endpoint: many at once, and every answer kept on disk.

An answer is on disk before anything else happens to it. Killed at any moment and started again, the same calls are
answered from disk, and only what is missing is asked for.
"""

import asyncio
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import httpx2

from seallm.base.errors import EndpointError
from seallm.base.files import fingerprint
from seallm.endpoints.address import Address, ApiKey, parse_address
from seallm.endpoints.answer_cache import AnswerCache
from seallm.endpoints.asking import Asker
from seallm.endpoints.calls import CHAT, Call, Json, MalformedAnswer, chat_reply, text_reply, usage_of
from seallm.endpoints.metering import Meter
from seallm.endpoints.settings import EndpointSettings
from seallm.endpoints.troubles import Trouble

NAMES_SHOWN = 10


@dataclass(frozen=True)
class Outcome:
    """What became of a call.

    Attributes:
        body: the response, or None where the question was given up.
        problem: why it was given up, one line.
        is_reused: the answer was on disk, or came with an equal call.
    """

    body: Json | None
    problem: str = ""
    is_reused: bool = False


class Endpoint:
    """A server of one model.

    Args:
        address: `http://host/v1#model`; without a model's name the server is asked for its only one.
        settings: pace, patience, and where answers are kept.
        key: sent with every call.

    Attributes:
        meter: what was spent, by language.

    Raises:
        EndpointError: the address is none.
    """

    def __init__(self, address: Address | str, settings: EndpointSettings, key: ApiKey | None = None) -> None:
        self.address = parse_address(address) if isinstance(address, str) else address
        self.settings, self._key = settings, key
        self.meter = Meter(settings.price)
        self._cache = AnswerCache(settings.answers)
        self._asker = Asker(self.address, settings, key)
        self._model = self.address.model

    @property
    def model(self) -> str:
        """The model's name; asked for where the address has none.

        Raises:
            EndpointError: the server cannot be asked, or has several models.
        """
        if not self._model:
            names = self.models()
            if len(names) != 1:
                raise EndpointError(
                    f"{self.address.url} has {len(names)} models ({_listed(names)}): name one, such as "
                    f"{self.address.url}#{names[0] if names else 'NAME'}"
                )
            self._model = names[0]
        return self._model

    def models(self) -> list[str]:
        """Names of the models that the server has.

        Raises:
            EndpointError: it cannot be asked, or answers something else.
        """
        return asyncio.run(self._ask_models())

    def kept(self, call: Call) -> Json | None:
        """The response that is on disk; nothing is sent, so that without a model's name none is found."""
        return self._cache.find(self._cache_key(call)) if self._model else None

    def call_many(
        self, calls: Sequence[Call], on_done: Callable[[int, Outcome], object] = lambda number, outcome: None
    ) -> list[Outcome]:
        """Answer all calls.

        Args:
            calls: what to ask.
            on_done: called with each call's number as soon as its outcome is known, in any order.

        Returns:
            One outcome a call, in order.

        Raises:
            EndpointError: nothing can be asked of the server: it is unreachable, refuses the key, does not know the
                model, or fails question after question. What was answered is kept.
        """
        if not calls or not self.model:
            return []
        return asyncio.run(self._call_all(calls, on_done))

    async def _call_all(self, calls: Sequence[Call], on_done: Callable[[int, Outcome], object]) -> list[Outcome]:
        outcomes: dict[int, Outcome] = {}
        under_way: dict[str, asyncio.Future[Outcome]] = {}
        self._asker.stopped_by = None

        async def work(client: httpx2.AsyncClient, numbers: Iterator[int]) -> None:
            for number in numbers:  # all workers share the iterator: each takes the next call that nobody has
                try:
                    outcomes[number] = await self._once(client, calls[number], under_way)
                except EndpointError as error:
                    self._asker.stopped_by = self._asker.stopped_by or error
                if self._asker.stopped_by is not None:
                    return  # the others' calls under way end first: they may be answered, and are paid
                on_done(number, outcomes[number])

        async with self._asker.client() as client:
            numbers = iter(range(len(calls)))
            workers = min(self.settings.concurrent_calls, len(calls))
            await asyncio.gather(*(work(client, numbers) for _ in range(workers)))
        if self._asker.stopped_by is not None:
            raise self._asker.stopped_by
        return [outcomes[number] for number in range(len(calls))]

    async def _once(
        self, client: httpx2.AsyncClient, call: Call, under_way: dict[str, "asyncio.Future[Outcome]"]
    ) -> Outcome:
        """The outcome of a call; of equal calls one alone is sent."""
        key = self._cache_key(call)
        is_first = key not in under_way
        if is_first:
            under_way[key] = asyncio.ensure_future(self._find_or_ask(client, call, key))
        outcome = await under_way[key]
        if is_first:
            return outcome
        self.meter.of(call.language).reused += 1
        return Outcome(outcome.body, outcome.problem, True)

    async def _find_or_ask(self, client: httpx2.AsyncClient, call: Call, key: str) -> Outcome:
        kept = self._cache.find(key)
        usage = self.meter.of(call.language)
        if kept is not None:
            usage.reused += 1
            return Outcome(kept, is_reused=True)
        body = {"model": self._model, **call.body, **self.settings.extra}
        check = chat_reply if call.path == CHAT else text_reply
        found = await self._asker.ask(client, call.path, body, check, call.most_tokens)
        if isinstance(found, Trouble):
            usage.failed += 1
            return Outcome(None, found.text)
        question = {"url": self.address.url, "path": call.path, "draw": call.draw, **body}
        await asyncio.to_thread(self._cache.keep, key, question, found)  # a slow disk must not hold up other calls
        spent = usage_of(call, found)
        usage.add(spent)
        self._asker.rate.settle(call.most_tokens, spent.question_tokens + spent.answer_tokens)
        return Outcome(found)

    def _cache_key(self, call: Call) -> str:
        body = {"model": self.model, **call.body, **self.settings.extra}
        return fingerprint([self.address.url, call.path, body, call.draw])

    async def _ask_models(self) -> list[str]:
        async with self._asker.client() as client:
            found = await self._asker.ask(client, "models", None, _model_names)
        if isinstance(found, Trouble):
            raise EndpointError(f"{self.address.url} does not list its models: {found.text}. Name one: #NAME")
        return _model_names(found)


def _model_names(body: Json) -> list[str]:
    rows = body.get("data")
    if not isinstance(rows, list) or not all(isinstance(row, dict) and isinstance(row.get("id"), str) for row in rows):
        raise MalformedAnswer("it has no list of models")
    return [row["id"] for row in rows]


def _listed(names: Sequence[str]) -> str:
    return (", ".join(names[:NAMES_SHOWN]) + (", ..." if len(names) > NAMES_SHOWN else "")) or "none"
