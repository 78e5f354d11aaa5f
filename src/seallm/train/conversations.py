"""Conversation files in, a stage's conversations out: bad rows quarantined, languages balanced, nothing used twice.

The hybrid stage takes most of its languages' conversations (by default English: public instruction data is mostly
English and would drown the rest) and leaves the others for supervised fine-tuning. Which of the two a conversation
belongs to is a hash of its words, so it does not depend on files, order or seed. The hybrid stage writes down which
languages it took from; fine-tuning on its model leaves just those conversations out. Where the recipe has an
[instructions] stage, that has parted them already, and both stages take their own part whole.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from seallm.base.artifacts import StageContext
from seallm.base.balancing import capped_counts, parted
from seallm.base.errors import DataError
from seallm.base.files import fingerprint, read_json, write_json, write_json_lines
from seallm.base.records import Conversation, read_conversations
from seallm.train.draws import random_generator

HYBRID_SHARE = 0.8  # of the conversations in the hybrid stage's languages; the rest is left for fine-tuning
USED = "conversations_used.json"


def load_conversations(files: Sequence[Path], context: StageContext) -> list[Conversation]:
    """Read conversations in the run's languages; a bad row goes to quarantine.jsonl, and everything is counted.

    Raises:
        DataError: there is none.
    """
    kept: list[Conversation] = []
    bad: list[dict[str, str]] = []
    other = 0
    for path in files:
        good, broken = read_conversations(path)
        bad += (_quarantine_row(path, line) for line in broken)
        for conversation in good:
            if conversation.language in context.languages:
                kept.append(conversation)
            else:
                other += 1
    write_json_lines(context.out / "quarantine.jsonl", bad)
    context.counts["conversations"] = {"read": len(kept), "quarantined": len(bad), "of other languages": other}
    if not kept:
        raise DataError(
            f"{len(files)} conversation files ({files[0]}, ...) hold none in {', '.join(context.languages)}: "
            f"{len(bad)} bad rows, {other} in other languages. Expected JSONL rows with `messages` and `language`"
        )
    return kept


def _quarantine_row(path: Path, line: str) -> dict[str, str]:
    """`/home/me/chat.jsonl:3: reason` as where and reason, without the folder, which differs between machines."""
    number, _, reason = line.removeprefix(f"{path}:").partition(": ")
    return {"where": f"{path.name}:{number}", "reason": reason}


def is_hybrid_part(conversation: Conversation) -> bool:
    """True for HYBRID_SHARE of all conversations, decided by a hash of their words."""
    words = [[m.role, m.content] for m in conversation.messages]
    return int(fingerprint(["hybrid", words])[:8], 16) < HYBRID_SHARE * 2**32


def write_used(out: Path, languages: Sequence[str]) -> None:
    """Write down that the hybrid part of these languages' conversations is used up."""
    write_json(out / USED, {"languages": sorted(languages), "hybrid_share": HYBRID_SHARE})


def left_for_tuning(conversations: Sequence[Conversation], model_stage: Path) -> list[Conversation]:
    """The conversations that the stage which made the model did not use; all of them where it was no hybrid stage."""
    if not (model_stage / USED).is_file():
        return list(conversations)
    used = set(read_json(model_stage / USED)["languages"])
    return [c for c in conversations if c.language not in used or not is_hybrid_part(c)]


@dataclass(frozen=True)
class Caps:
    """Largest shares of an epoch's conversations.

    Attributes:
        language: of each language that has none of its own.
        languages: of single languages.
        category: of each category among the conversations of its language.
    """

    language: float
    languages: Mapping[str, float] = field(default_factory=dict)
    category: float = 1.0


def balanced_epoch(labels: Sequence[tuple[str, str]], caps: Caps, epoch: int, seed: int) -> list[int]:
    """Numbers of the conversations of an epoch, shuffled.

    First no category gets more than its share of its language's conversations, then no language more than its share of
    all; a language that must give up some keeps the proportions of its categories. What is above its cap gives another
    part of its conversations in each epoch, until all had their turn.

    Args:
        labels: language and category of each conversation.
        caps: largest shares.
        epoch: from 0.
        seed: decides orders.
    """
    cells: dict[str, dict[str, list[int]]] = {}
    for number, (language, category) in enumerate(labels):
        cells.setdefault(language, {}).setdefault(category, []).append(number)
    within = {
        language: capped_counts({c: len(numbers) for c, numbers in by_category.items()}, {}, caps.category)
        for language, by_category in cells.items()
    }
    sizes = {language: sum(counts.values()) for language, counts in within.items()}
    taken = capped_counts(sizes, caps.languages, caps.language)
    chosen: list[int] = []
    for language in sorted(cells):
        for category, count in parted(within[language], taken[language]).items():
            numbers = cells[language][category]
            order = random_generator(seed, "turns", language, category).permutation(len(numbers))
            chosen += [numbers[order[(epoch * count + i) % len(numbers)]] for i in range(count)]
    return [chosen[i] for i in random_generator(seed, "epoch", epoch).permutation(len(chosen))]
