"""The mixtures of a recipe and a token store in, the text of every step of continual pre-training out.

Each mixture continues its sources where the mixture before stopped. A replay takes the documents that were fed before,
shuffled anew (paper, section 3). A mixture of fixed shares is one stream. One of dynamic shares is a run of sections, a
stream each, from one measurement to the next: the shares of a section are a decision, written down when it is made.

    decisions.jsonl    one row a decision: the shares of every source, in whole units, and what they were decided upon

So the text of a step is a pure function of the seed, the step and the decisions before it. A resumed run reads the
decisions that its checkpoint has behind it and makes the later ones again; several processes must hand in the same
measurements, and then decide the same.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from seallm.base.errors import DataError
from seallm.recipe_training import Mixture, Pretrain
from seallm.train.batches import rows_per_step
from seallm.train.controller import Measured, steer
from seallm.train.mixture import TextRows, make_stream, no_documents, tokens_by_language
from seallm.train.shares import (
    PAIRS,
    SHARE_UNITS,
    Balance,
    capped_shares,
    language_of,
    language_shares,
    source_shares,
)
from seallm.train.sources import Source
from seallm.train.step_log import StepLog
from seallm.train.store import TokenStore

DECISIONS = "decisions.jsonl"
SHARE_DIGITS = 4  # decisions do not hang on the last bits of a measurement, which vary with the number of processes


@dataclass(frozen=True)
class Fed:
    """What was fed of each source so far.

    Attributes:
        reached: tokens of its own sequence.
        all: the same and what was replayed of it.
        replayed: tokens of the present mixture's replay.
    """

    reached: Mapping[str, int]
    all: Mapping[str, int]
    replayed: Mapping[str, int]


@dataclass(frozen=True, eq=False)
class Section:
    """Steps of a mixture with the same shares.

    Attributes:
        first: number of the first step within the mixture, from 0.
        steps: how many.
        rows: their text.
        fed: after the last of them.
    """

    first: int
    steps: int
    rows: TextRows
    fed: Fed


class Curriculum:
    """The text of all steps.

    Attributes:
        steps: of each mixture.

    Raises:
        DataError: a language or a mixture has no documents, or `max_epochs` leaves too few tokens.
    """

    def __init__(
        self, settings: Pretrain, store: TokenStore, languages: Sequence[str], seed: int, folder: Path
    ) -> None:
        self.settings = settings
        self.mixtures = settings.mixtures
        self.store = store
        self.base_language = languages[0]
        self.rows_per_step = rows_per_step(settings.batch_tokens, settings.sequence_tokens)
        self.sources = {name: Source(name, store.documents(name), seed) for name in store.tokens}
        self.log = StepLog(folder / DECISIONS)
        self.decisions = {row["step"]: row for row in self.log.rows()}
        self._sections: dict[int, list[Section]] = {}
        self._replays: dict[tuple[int, str, int], Source] = {}
        self._check_languages(languages)
        self.steps: list[int] = []
        fed = self._nothing
        for number, mixture in enumerate(self.mixtures):
            self.steps.append(self._planned_steps(number, mixture, fed))
            fed = self._section(number, 0, self.steps[number], fed, self._planned(number, fed)).fed
            fed = replace(fed, replayed=self._nothing.replayed)

    @property
    def _nothing(self) -> Fed:
        nothing = dict.fromkeys(self.sources, 0)
        return Fed(nothing, nothing, nothing)

    def rows(self, number: int, step: int) -> tuple[TextRows, range]:
        """The rows that a step of a mixture is made of, as numbers of a stream's rows."""
        section = self.section(number, step)
        first = (step - section.first) * self.rows_per_step
        return section.rows, range(first, first + self.rows_per_step)

    def place(self, step: int) -> tuple[int, int]:
        """The mixture and the step within it, from 0, of a step of the whole stage, from 0.

        Raises:
            DataError: there is no such step.
        """
        for number, steps in enumerate(self.steps):
            if step < steps:
                return number, step
            step -= steps
        raise DataError(f"The stage has {sum(self.steps)} steps, from 1 to {sum(self.steps)}")

    def summary(self, number: int) -> dict[str, Any]:
        """Share and epochs of each source of a mixture, for the manifest."""
        self.section(number, self.steps[number] - 1)
        before, after = self._before(number), self._sections[number][-1].fed
        first = self._sections[number][0].rows
        given = {name: after.all[name] - before.all[name] for name in first.names}
        tokens = {name: part.source.tokens for name, part in zip(first.names, first.stream.parts, strict=True)}
        total = sum(given.values())
        found: dict[str, Any] = {
            name: {"share": round(n / total, 4), "epochs": round(n / tokens[name], 3)} for name, n in given.items()
        }
        if not self.mixtures[number].dynamic:
            wished = self._wished(number, before)
            for name, row in found.items():
                if abs(wished[name] - row["share"]) > 5e-4:
                    row["share_without_cap"] = round(wished[name], 4)
        return found

    # ------------------------------------------------------------------------------------------------------- decisions

    def decide(self, step: int, measured: Measured) -> dict[str, Any] | None:
        """Decide on the shares from a step on, where a section of a dynamic mixture starts with it.

        Args:
            step: steps made in the whole stage.
            measured: bits per byte after these steps, equal in all processes.

        Returns:
            The row of the log; None where nothing is to be decided.
        """
        if not 0 < step < sum(self.steps):
            return None
        number, inside = self.place(step)
        mixture = self.mixtures[number]
        if mixture.dynamic is None or not inside:
            return None
        self._sections[number] = [s for s in self._sections.get(number, []) if s.first < inside]
        fed = self.section(number, inside - 1).fed
        before = self.decisions.get(step - inside + self._sections[number][-1].first, {})
        planned = self._planned_languages(number, fed)
        base_share = before.get("languages", planned).get(self.base_language, 0.0)
        shares, reasons = steer(mixture.dynamic, planned, self.base_language, base_share, measured)
        shares = {code: round(share, SHARE_DIGITS) for code, share in shares.items()}
        by_source = self._capped(number, fed, shares, self.steps[number] - inside)
        row = {"step": step, "mixture": mixture.name, "languages": shares}
        row |= {**reasons, "sources": {name: round(share * SHARE_UNITS) for name, share in by_source.items()}}
        self.decisions[step] = row
        self.log.put(step, [row])
        return row

    def section(self, number: int, step: int) -> Section:
        """The section that a step of a mixture belongs to.

        Raises:
            DataError: its shares were not decided upon.
        """
        sections = self._sections.setdefault(number, [])
        while not sections or sections[-1].first + sections[-1].steps <= step:
            first = sections[-1].first + sections[-1].steps if sections else 0
            fed = sections[-1].fed if sections else self._before(number)
            if not first:
                shares = self._planned(number, fed)
            else:
                made = sum(self.steps[:number]) + first
                if made not in self.decisions:
                    raise DataError(f"{self.log.path} has no decision of step {made}: training has not come so far")
                shares = {n: units / SHARE_UNITS for n, units in self.decisions[made]["sources"].items()}
            sections.append(self._section(number, first, self._end(number, first) - first, fed, shares))
        return next(s for s in reversed(sections) if s.first <= step)

    def _end(self, number: int, first: int) -> int:
        """The step within a mixture at which the section that starts at `first` ends."""
        if self.mixtures[number].dynamic is None:
            return self.steps[number]
        before, every = sum(self.steps[:number]), self.settings.evaluate_every_steps
        return min(self.steps[number], ((before + first) // every + 1) * every - before)

    # -------------------------------------------------------------------------------------------------- one mixture

    def _before(self, number: int) -> Fed:
        if not number:
            return self._nothing
        fed = self.section(number - 1, self.steps[number - 1] - 1).fed
        return replace(fed, replayed=self._nothing.replayed)

    def _is_replay(self, number: int) -> bool:
        mixture = self.mixtures[number]
        if mixture.replay is not None:
            return mixture.replay
        return set(mixture.tiers) == {"high"} and any("high" in m.tiers for m in self.mixtures[:number])

    def _chosen(self, number: int, fed: Fed) -> dict[str, tuple[Source, int]]:
        """The sources of a mixture, and the tokens of their sequences to start from."""
        mixture, is_replay = self.mixtures[number], self._is_replay(number)
        chosen: dict[str, tuple[Source, int]] = {}
        for name, source in self.sources.items():
            if language_of(name) == PAIRS:
                if mixture.parallel_share:
                    chosen[name] = (source, fed.reached[name])
            elif name.partition(".")[2] in mixture.tiers:
                again = (self._replay(number, name, fed), fed.replayed[name]) if is_replay else None
                chosen[name] = again or (source, fed.reached[name])
        if not any(source.tokens for name, (source, _) in chosen.items() if language_of(name) != PAIRS):
            raise no_documents(mixture.name)
        return chosen

    def _replay(self, number: int, name: str, fed: Fed) -> Source:
        """The documents of a source that were fed, in an order of the mixture's own."""
        key = (number, name, fed.reached[name])
        if key not in self._replays:
            self._replays[key] = self.sources[name].seen(fed.reached[name], f"replay {number}")
        return self._replays[key]

    def _tokens(self, number: int, fed: Fed) -> dict[str, int]:
        return {name: source.tokens for name, (source, _) in self._chosen(number, fed).items()}

    def _planned_languages(self, number: int, fed: Fed) -> dict[str, float]:
        """Shares of languages as the recipe wishes them."""
        mixture = self.mixtures[number]
        tokens = tokens_by_language(self._tokens(number, fed))
        empty = [code for code, share in mixture.shares.items() if share and not tokens.get(code)]
        if empty:
            raise DataError(
                f"Mixture {mixture.name!r} gives a share to {empty[0]!r}, which has no documents in tiers "
                f"{', '.join(mixture.tiers)}. It has: {', '.join(code for code, n in tokens.items() if n)}"
            )
        balance = Balance(
            self.base_language, mixture.base_language_share, mixture.temperature, mixture.shares, mixture.parallel_share
        )
        return language_shares(tokens, balance)

    def _wished(self, number: int, fed: Fed) -> dict[str, float]:
        """Shares of sources, before `max_epochs`."""
        return source_shares(self._tokens(number, fed), self._planned_languages(number, fed))

    def _planned(self, number: int, fed: Fed) -> dict[str, float]:
        """Shares of sources that a mixture starts with."""
        return self._capped(number, fed, self._planned_languages(number, fed), self.steps[number])

    def _planned_steps(self, number: int, mixture: Mixture, fed: Fed) -> int:
        tokens = float(mixture.tokens or 0)
        if mixture.epochs is not None:
            sizes, wished = self._tokens(number, fed), self._wished(number, fed)
            first = [name for name in sizes if name.partition(".")[2] == mixture.tiers[0]]
            share = sum(wished[name] for name in first)
            if not share:
                raise DataError(
                    f"Mixture {mixture.name!r} counts epochs of the tier {mixture.tiers[0]}, which is empty"
                )
            tokens = mixture.epochs * sum(sizes[name] for name in first) / share
        return max(1, round(tokens / (self.rows_per_step * self.settings.sequence_tokens)))

    def _capped(self, number: int, fed: Fed, by_language: Mapping[str, float], steps: int) -> dict[str, float]:
        """Shares of sources for the rest of a mixture, none fed more than `max_epochs` times."""
        tokens = self._tokens(number, fed)
        if self.settings.max_epochs is None:
            return source_shares(tokens, by_language)
        wanted = float(steps * self.rows_per_step * self.settings.sequence_tokens)
        rooms = {name: max(0.0, self.settings.max_epochs * n - fed.all[name]) for name, n in tokens.items()}
        shares = capped_shares(tokens, by_language, rooms, wanted)
        if sum(shares.values()) < 1 - 1e-6:
            raise DataError(
                f"Mixture {self.mixtures[number].name!r} wants {wanted:,.0f} tokens, but max_epochs = "
                f"{self.settings.max_epochs:g} leaves {wanted * sum(shares.values()):,.0f}. Lower its tokens, raise "
                "max_epochs, or bring more documents"
            )
        return shares

    def _section(self, number: int, first: int, steps: int, fed: Fed, shares: Mapping[str, float]) -> Section:
        name = f"{number} {self.mixtures[number].name}" + (f" {first}" if first else "")
        chosen = self._chosen(number, fed)
        stream = make_stream(
            name,
            chosen,
            shares,
            steps * self.rows_per_step,
            self.settings.sequence_tokens,
            self.settings.row_languages,
        )
        names = [source for source in chosen if chosen[source][0].tokens]
        rows = TextRows(stream, names, self.store, self.settings.isolate_documents)
        reached, everything, replayed = dict(fed.reached), dict(fed.all), dict(fed.replayed)
        for place, (source, part) in enumerate(zip(names, stream.parts, strict=True)):
            everything[source] += stream.stop(place) - part.start
            is_replayed = self._is_replay(number) and language_of(source) != PAIRS
            (replayed if is_replayed else reached)[source] = stream.stop(place)
        return Section(first, steps, rows, Fed(reached, everything, replayed))

    def _check_languages(self, languages: Sequence[str]) -> None:
        tokens = tokens_by_language({name: source.tokens for name, source in self.sources.items()})
        empty = [code for code in languages[1:] if not tokens.get(code)]
        if empty:
            raise DataError(
                f"The corpus has no documents in {', '.join(empty)}: empty. Bring documents, or take "
                f"{'it' if len(empty) == 1 else 'them'} out of `languages`"
            )
