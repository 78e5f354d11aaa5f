"""Conversation files in, a stage's conversations out: bad rows quarantined, languages balanced, nothing used twice.

The hybrid stage takes most of its languages' conversations (by default English: public instruction data is mostly
English and would drown the rest) and leaves the others for supervised fine-tuning. Which of the two a conversation
belongs to is a hash of its words, so it does not depend on files, order or seed. The hybrid stage writes down which
languages it took from; fine-tuning on its model leaves just those conversations out.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

from seallm.base.artifacts import StageContext
from seallm.base.errors import DataError
from seallm.base.files import fingerprint, read_json, write_json, write_json_lines
from seallm.base.records import Conversation, read_conversations
from seallm.train.stream import random_generator

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


def language_cap(counts: Mapping[str, int], max_share: float) -> int:
    """Most conversations of one language in an epoch, so that no language has more than `max_share` of it.

    Where there are too few languages for that, they get equal numbers.

    Args:
        counts: conversations by language.
        max_share: largest share of one language.
    """
    share = max(max_share, 1 / len(counts))
    low, high = min(counts.values()), max(counts.values())
    while low < high:  # the largest cap that keeps its share: cap / total grows with the cap
        middle = (low + high + 1) // 2
        if middle <= share * sum(min(n, middle) for n in counts.values()) + 1e-9:
            low = middle
        else:
            high = middle - 1
    return low


def balanced_epoch(languages: Sequence[str], max_share: float, epoch: int, seed: int) -> list[int]:
    """Numbers of the conversations of an epoch, shuffled.

    A language above its cap gives another part of its conversations in each epoch, until all had their turn.

    Args:
        languages: the language of each conversation.
        max_share: largest share of one language.
        epoch: from 0.
        seed: decides orders.
    """
    by_language: dict[str, list[int]] = {}
    for number, language in enumerate(languages):
        by_language.setdefault(language, []).append(number)
    cap = language_cap({language: len(numbers) for language, numbers in by_language.items()}, max_share)
    chosen: list[int] = []
    for language in sorted(by_language):
        numbers = by_language[language]
        order = random_generator(seed, "turns", language).permutation(len(numbers))
        count = min(cap, len(numbers))
        chosen += [numbers[order[(epoch * count + i) % len(numbers)]] for i in range(count)]
    return [chosen[i] for i in random_generator(seed, "epoch", epoch).permutation(len(chosen))]
