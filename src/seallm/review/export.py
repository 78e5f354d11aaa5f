"""A folder's reviews in, files for training and for reading out.

conversations.jsonl   accepted and edited conversations
preferences.jsonl     pairs that annotators preferred one answer of, as `seallm` and TRL read them
judgements.jsonl      every single judgement with annotator, models, reasons and note
report.json           figures by language
"""

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

from seallm.base.files import write_json, write_json_lines
from seallm.base.records import write_conversations, write_preferences
from seallm.review.database import FILE
from seallm.review.figures import Figures, figures
from seallm.review.judged import JudgedItem, conversations, preferences, read_reviews
from seallm.review.store import open_reviews

EXPORT = FILE.parent / "export"


def export(folder: Path, out: Path) -> Figures:
    """Write the files; the page may run meanwhile.

    Returns:
        What report.json has.

    Raises:
        WorkspaceError: the folder was never opened for review, or its database is in use.
    """
    reviews = read_reviews(open_reviews(folder))
    kept, pairs = list(conversations(reviews.items)), list(preferences(reviews.items))
    report = {**figures(reviews), "written": {"conversations": len(kept), "preferences": len(pairs)}}
    write_conversations(out / "conversations.jsonl", kept)
    write_preferences(out / "preferences.jsonl", pairs)
    write_json_lines(out / "judgements.jsonl", _rows(reviews.items))
    write_json(out / "report.json", report)
    return report


def _rows(items: list[JudgedItem]) -> Iterator[dict[str, Any]]:
    for item in items:
        about = {name: getattr(item, name) for name in ("id", "kind", "language", "category", "question")}
        for judgement in item.judgements:
            row = {**about, **asdict(judgement)}
            if item.kind == "comparison":
                better = dict(zip(("first", "second"), item.models, strict=True))
                row.update(models=item.models, preferred=better.get(judgement.verdict))
            yield row
