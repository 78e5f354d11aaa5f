"""What makers hand over: conversations with the story of how they were made, and what was left out with the reason.

out.jsonl           conversations, with `teacher`, `made_by` and the figures of their checks beside the usual fields
out.dropped.jsonl   everything else, with `reason`: nothing is lost
out.cost.json       calls and tokens of this run by language
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from seallm.base.errors import DataError
from seallm.base.files import files_under, write_json, write_json_lines
from seallm.base.records import Conversation, read_conversations
from seallm.chat_data.row_files import is_about
from seallm.endpoints.metering import Meter

MAX_BAD_SHARE = 0.1


@dataclass(frozen=True)
class Made:
    """One conversation that was made.

    Attributes:
        conversation: its `source` says where it comes from and who made it.
        story: how it was made, and the figures of its checks.
    """

    conversation: Conversation
    story: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Dropped:
    """What could not be used.

    Attributes:
        reason: why, one of a few names.
        detail: more of it.
        language: that it was to be in.
        content: what it was.
    """

    reason: str
    detail: str
    language: str
    content: Mapping[str, Any]


@dataclass
class Outcome:
    """Everything a maker made."""

    made: list[Made] = field(default_factory=list)
    dropped: list[Dropped] = field(default_factory=list)

    def counts(self) -> dict[str, dict[str, int]]:
        """By language: how many were made, and dropped for which reason."""
        found: dict[str, Counter[str]] = {}
        for each in self.made:
            found.setdefault(each.conversation.language, Counter())["made"] += 1
        for other in self.dropped:
            found.setdefault(other.language, Counter())[other.reason] += 1
        return {language: dict(sorted(counts.items())) for language, counts in sorted(found.items())}


def made_source(conversation_source: str, how: str, teacher: str) -> str:
    """The source of what was made: `alpaca, translated by sea-8b`."""
    return f"{conversation_source or 'unnamed'}, {how} by {teacher}"


def read_inputs(files: Sequence[Path]) -> tuple[list[Conversation], list[str]]:
    """Conversations of JSONL files, in order, and one line for each bad row.

    Raises:
        DataError: there is none, or more than a tenth of the rows cannot be read.
    """
    found: list[Conversation] = []
    bad: list[str] = []
    for path in (each for file in files for each in files_under(file) if not is_about(each)):
        good, broken = read_conversations(path)
        found += good
        bad += broken
    if len(bad) > MAX_BAD_SHARE * (len(found) + len(bad)):
        raise DataError(f"{len(bad)} of {len(found) + len(bad)} rows cannot be read, the first: {bad[0]}")
    if not found:
        raise DataError(f"{', '.join(map(str, files))} hold no conversation")
    return found, bad


def write_outcome(out: Path, outcome: Outcome) -> None:
    """Write what was made and what was not; equal outcomes give equal bytes."""
    write_json_lines(out.with_suffix(".dropped.jsonl"), (asdict(each) for each in outcome.dropped))
    write_json_lines(out, made_rows(outcome.made))


def write_cost(out: Path, outcome: Outcome, meter: Meter) -> None:
    """Write what this run spent beside what it made."""
    write_json(out.with_suffix(".cost.json"), {"spent": meter.rows(), "made": outcome.counts()})


def made_rows(made: Iterable[Made]) -> Iterator[dict[str, Any]]:
    """Conversations as rows, with their story."""
    return ({**asdict(each.conversation), **each.story} for each in made)
