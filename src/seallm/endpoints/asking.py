"""One HTTP request in, the JSON object that answers it out, or the trouble that is left when asking again did not help.

Pauses double with each attempt, with some chance in them so that many callers do not come back at once; a pause that
the server asks for holds for all calls.
"""

import asyncio
import json
import random
from collections.abc import Callable

import httpx2

from seallm.base.errors import EndpointError
from seallm.endpoints.address import Address, ApiKey
from seallm.endpoints.calls import Json, MalformedAnswer
from seallm.endpoints.rate_limit import RateLimit
from seallm.endpoints.settings import EndpointSettings
from seallm.endpoints.troubles import Trouble, trouble_of_answer, trouble_of_error

FIRST_CONTACT_ATTEMPTS = 3  # a server that was never reached is given up sooner than one that was
TOO_MANY, MOST_REFUSALS = 429, 20  # "too many requests" is no failure of a question: it may be asked so often again
FAILED_IN_A_ROW = 5  # questions that fail one after the other mean that the endpoint does
_OTHER_LIMIT = "max_completion_tokens"  # what some servers want instead of max_tokens, and say so


class Asker:
    """What all requests to one server share.

    Args:
        address: of the server.
        settings: pace and patience.
        key: sent with every request.

    Attributes:
        stopped_by: why no more is asked; requests that are under way end, others do not begin.
    """

    def __init__(self, address: Address, settings: EndpointSettings, key: ApiKey | None) -> None:
        self.address, self.settings, self._key = address, settings, key
        self.rate = RateLimit(settings.requests_per_minute, settings.tokens_per_minute)
        self.stopped_by: EndpointError | None = None
        self._was_reached = False
        self._failed_in_a_row = 0
        self._uses_other_limit = False

    def client(self) -> httpx2.AsyncClient:
        """A client for one event loop. Redirections are not followed: the key would go along."""
        headers = {} if self._key is None else {"authorization": self._key.header}
        return httpx2.AsyncClient(
            base_url=self.address.url + "/",
            headers=headers,
            timeout=httpx2.Timeout(self.settings.call_seconds, connect=self.settings.connect_seconds, pool=None),
            limits=httpx2.Limits(max_connections=self.settings.concurrent_calls),
            trust_env=not self.address.is_here,
        )

    async def ask(
        self,
        client: httpx2.AsyncClient,
        path: str,
        body: Json | None,
        check: Callable[[Json], object],
        tokens: int = 0,
    ) -> Json | Trouble:
        """Ask until there is an answer or nothing more to hope for.

        Args:
            client: from `client`.
            path: behind the address.
            body: posted; None gets.
            check: raises MalformedAnswer for an object that is no answer.
            tokens: taken from the limit; whoever gets the answer settles what it really used.

        Raises:
            EndpointError: no request would be answered.
        """
        failures = refusals = 0
        while True:
            await self._wait_for_turn(tokens)
            found = await self._attempt(client, path, body, check)
            if isinstance(found, dict):
                self._was_reached, self._failed_in_a_row = True, 0
                return found
            self.rate.settle(tokens, 0)
            self._was_reached = self._was_reached or found.status > 0
            failures, refusals = (failures, refusals + 1) if found.status == TOO_MANY else (failures + 1, refusals)
            self._raise_if_hopeless(found, failures)
            if found.ends == "question" or self.stopped_by is not None:
                return found
            if failures >= self.settings.attempts or refusals >= MOST_REFUSALS:
                return self._given_up(found, failures + refusals)
            await self._pause(found, failures + refusals)

    def _given_up(self, trouble: Trouble, asked: int) -> Trouble:
        self._failed_in_a_row += 1
        if self._failed_in_a_row >= FAILED_IN_A_ROW:
            raise EndpointError(
                f"{self.address} failed on {FAILED_IN_A_ROW} questions in a row, the last one asked {asked} times: "
                f"{trouble.text}. What was answered is kept; the same command continues"
            )
        return trouble

    async def _wait_for_turn(self, tokens: int) -> None:
        await asyncio.sleep(self.rate.reserve(tokens))
        while (seconds := self.rate.paused_seconds) > 0:
            await asyncio.sleep(seconds)

    async def _attempt(
        self, client: httpx2.AsyncClient, path: str, body: Json | None, check: Callable[[Json], object]
    ) -> Json | Trouble:
        try:
            async with asyncio.timeout(self.settings.call_seconds):
                response = await (client.get(path) if body is None else client.post(path, json=self._fitting(body)))
        except (httpx2.HTTPError, TimeoutError) as error:
            return trouble_of_error(error, self.settings.connect_seconds, self.settings.call_seconds)
        if response.status_code == 400 and _OTHER_LIMIT in response.text and not self._uses_other_limit:
            self._uses_other_limit = True
            return await self._attempt(client, path, body, check)
        trouble = trouble_of_answer(response)
        if trouble is not None:
            return Trouble(**{**vars(trouble), "text": self._hidden(trouble.text)})
        answer: Json = json.loads(self._hidden(response.content.decode(errors="replace")))
        try:
            check(answer)
        except MalformedAnswer as error:
            return Trouble(self._hidden(f"the answer is not one: {error}"))
        return answer

    def _fitting(self, body: Json) -> Json:
        if self._uses_other_limit and "max_tokens" in body:
            return {_OTHER_LIMIT if name == "max_tokens" else name: value for name, value in body.items()}
        return body

    def _hidden(self, text: str) -> str:
        return text if self._key is None else self._key.hidden_in(text)

    def _raise_if_hopeless(self, trouble: Trouble, attempt: int) -> None:
        if trouble.ends == "work":
            raise EndpointError(f"{self.address} cannot be used: {trouble.text}")
        enough = self.settings.attempts if self._was_reached else min(self.settings.attempts, FIRST_CONTACT_ATTEMPTS)
        if trouble.is_silent and attempt >= enough:
            raise EndpointError(
                f"{self.address.url} cannot be reached, asked {attempt} times: {trouble.text}. Check the address, and "
                "that the server runs; the same command continues where it stopped"
            )

    async def _pause(self, trouble: Trouble, attempt: int) -> None:
        growing = self.settings.first_wait_seconds * 2 ** (attempt - 1)
        asked = trouble.wait_seconds
        wait = min(growing if asked is None else asked, self.settings.longest_wait_seconds)
        if asked is not None or trouble.status == TOO_MANY:
            self.rate.pause(wait)  # it holds for all
        await asyncio.sleep(wait * (random.uniform(0.5, 1.0) if asked is None else random.uniform(1.0, 1.1)))
