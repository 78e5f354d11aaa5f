"""The shipped parallel sentences -> texts that a vocabulary is checked on: sentences, paragraphs, lists, code."""

from collections.abc import Mapping
from pathlib import Path

from seallm.base.files import resolve_path

SENTENCES = 40
CODE_GROUP = "code"
# what regexes differ in: spaces, line ends, contractions, numbers, letters of both cases, symbols
CODE = (
    "def f(x):\n    if x > 10_000:\n        return [x, 'a', \"b\"]  # it's 3.14\n\n\nprint(f(12345))\n",
    "I'm sure they'll say it's 1,234.50 dollars; WE'VE seen iPhone and JavaScript.\n\n- one\n-  two\n\t- three\n",
    "| a | b |\n|---|---|\n| 1 | 22 |\n\nhttps://example.org/a_b?c=1&d=2#e  😀👍🏽 x²+y³≈½ \u00a0e\u0301\u0323",
)


def check_texts() -> Mapping[str, list[str]]:
    """Texts by language, and under `code` a few that regexes differ most in."""
    files = sorted(resolve_path("sample:parallel", Path()).glob("test.*.txt"))
    found = {file.name.split(".")[1]: _of_language(file) for file in files}
    return {**found, CODE_GROUP: list(CODE)}


def _of_language(file: Path) -> list[str]:
    lines = file.read_text(encoding="utf-8").splitlines()[:SENTENCES]
    return [
        *lines,
        *("\n\n".join(lines[at : at + 3]) for at in range(0, 12, 3)),
        "\n".join(f"{number}. {line}" for number, line in enumerate(lines[:5], 1)),
    ]
