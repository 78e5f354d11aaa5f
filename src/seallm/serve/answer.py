"""The ids of one answer to its events: text in whole characters, cut at stop strings, with scores where wanted."""

from collections import deque
from collections.abc import Collection

from seallm.model.jobs import Update
from seallm.model.text_stream import TextStream
from seallm.serve.requests import Event, Finished, Piece, PromptScores, ScoredToken, Ticket
from seallm.serve.stops import StopStrings


class Answer:
    """One answer that is being made.

    Attributes:
        ticket: of its request.
        number: of the answer within the request.
        is_finished: True once `Finished` was among its events.
    """

    def __init__(self, ticket: Ticket, number: int, text: TextStream, stop_ids: Collection[int]) -> None:
        self.ticket, self.number, self.is_finished = ticket, number, False
        self._text, self._stop_ids = text, stop_ids
        self._stops = StopStrings(ticket.request.stops)
        self._num_tokens = self._num_shown = 0
        self._scored: deque[tuple[int, ScoredToken]] = deque()  # with the number of the character it begins at

    def events(self, update: Update) -> list[Event]:
        """What an update brings."""
        found: list[Event] = []
        if update.prompt_scores is not None:
            pairs = zip(self.ticket.request.prompt[1:], update.prompt_scores, strict=True)
            found.append(PromptScores(self.number, tuple(ScoredToken(i, s) for i, s in pairs)))
        has_ended = update.token_id in self._stop_ids
        text = "" if update.token_id is None or has_ended else self._read(update, update.token_id)
        if update.is_last:
            text += self._text.finish(is_cut=not has_ended)
        shown = self._stops.feed(text)
        if update.is_last and not self._stops.found:
            shown += self._stops.flush()
        self.is_finished = update.is_last or self._stops.found
        tokens = self._tokens(len(shown))
        if shown or tokens:
            found.append(Piece(self.number, shown, tokens))
        if self.is_finished:
            is_cut = not (has_ended or self._stops.found)
            found.append(Finished(self.number, "length" if is_cut else "stop", self._num_tokens))
        return found

    def _read(self, update: Update, token_id: int) -> str:
        self._num_tokens += 1
        if update.score is not None:
            self._scored.append((self._text.num_characters, ScoredToken(token_id, update.score)))
        return self._text.feed(token_id)

    def _tokens(self, num_characters: int) -> tuple[ScoredToken, ...]:
        """Tokens that begin in the text that is shown now; at an end that no stop string made, all that are left."""
        self._num_shown += num_characters
        is_all = self.is_finished and not self._stops.found
        shown = []
        while self._scored and (is_all or self._scored[0][0] < self._num_shown):
            shown.append(self._scored.popleft()[1])
        return tuple(shown)
