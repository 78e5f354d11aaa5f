"""A user's word for a tokenizer in, the opened tokenizer out: a folder, a file, or a hub id.

Files may be a `tokenizer.json`, a SentencePiece `tokenizer.model` or a `.tiktoken` file; all become the content of a
`tokenizer.json`, so that whatever comes after knows one form.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from seallm.base.errors import DataError, VocabError
from seallm.base.files import read_json
from seallm.base.hub import download, is_hub_id
from seallm.vocab.base_tokenizer import TOKENIZER_FILE, BpeTokenizer, load_tokenizer, parse_bpe
from seallm.vocab.sentencepiece_extension import SENTENCEPIECE_FILE
from seallm.vocab.sentencepiece_file import read_model, to_document
from seallm.vocab.tiktoken_file import read_tiktoken

STAGE_FOLDER = "tokenizer"  # where the vocab stage keeps it
HUB_FILES = ("tokenizer*.json", "special_tokens_map.json", "*.jinja", SENTENCEPIECE_FILE, "config.json")
_CONVERT = "load it with transformers' AutoTokenizer and save it with save_pretrained, which writes a tokenizer.json"


@dataclass(frozen=True)
class OpenTokenizer:
    """A tokenizer ready to encode, of any kind.

    Attributes:
        name: what the user called it.
        path: the file it was read from.
        document: the content of a `tokenizer.json`.
        tokenizer: the same, loaded.
    """

    name: str
    path: Path
    document: Mapping[str, Any]
    tokenizer: Tokenizer

    @property
    def folder(self) -> Path:
        """Where its other files lie."""
        return self.path.parent

    @property
    def sentencepiece(self) -> Path | None:
        """The SentencePiece model that it is, or that lies beside it."""
        beside = self.folder / SENTENCEPIECE_FILE
        return self.path if self.path.suffix == ".model" else beside if beside.is_file() else None

    def bpe(self) -> BpeTokenizer:
        """The same for extension.

        Raises:
            VocabError: it is not BPE, or BPE of a kind that cannot be extended.
        """
        return parse_bpe(self.document, str(self.path))


def open_tokenizer(place: str | Path) -> OpenTokenizer:
    """Open a tokenizer.

    Args:
        place: a folder with a `tokenizer.json` or `tokenizer.model` (in it, or in its `tokenizer/` or `model/`), one of
            these files, a `.tiktoken` file, or a hub id (`owner/name`).

    Raises:
        VocabError: nothing is there, or it is no tokenizer that is known here.
        DataError: the file is not JSON.
    """
    path = _find(str(place))
    document = _read(path)
    return OpenTokenizer(str(place).rstrip("/"), path, document, load_tokenizer(document, str(path)))


def short_names(places: Sequence[str]) -> list[str]:
    """What to call tokenizers in a table: the last part of a path, or all of it where two would be called the same."""
    shorts = [Path(place).stem if Path(place).suffix == ".tiktoken" else Path(place).name for place in places]
    return [
        short if shorts.count(short) == 1 and Path(place).exists() else place.rstrip("/")
        for short, place in zip(shorts, places, strict=True)
    ]


def _find(place: str) -> Path:
    path = Path(place).expanduser()
    if path.is_file():
        return path
    if path.is_dir():
        return _file_in(path)
    if not is_hub_id(place):
        raise VocabError(f"{place} is neither a folder nor a file, and no hub id (owner/name). Check the path")
    try:
        return _file_in(download(place, HUB_FILES))
    except DataError as reason:
        raise VocabError(
            f"There is no folder {place}, and the hub did not give it ({reason}). Check the name, your connection, and "
            "whether it needs `hf auth login`"
        ) from None


def _file_in(folder: Path) -> Path:
    for inner in (folder, folder / STAGE_FOLDER, folder / "model"):
        for name in (TOKENIZER_FILE, SENTENCEPIECE_FILE):
            if (inner / name).is_file():
                return inner / name
    found = sorted(p.name for p in folder.iterdir())
    slow = [name for name in ("vocab.json", "vocab.txt", "merges.txt", "spiece.model") if name in found]
    hint = f"it has {', '.join(slow)}: {_CONVERT}" if slow else f"it holds {', '.join(found[:6]) or 'nothing'}"
    raise VocabError(f"{folder} has no {TOKENIZER_FILE} and no {SENTENCEPIECE_FILE}; {hint}")


def _read(path: Path) -> dict[str, Any]:
    if path.suffix == ".tiktoken":
        return read_tiktoken(path)
    if path.suffix == ".model":
        return to_document(read_model(path))
    document = read_json(path)
    if not isinstance(document, dict) or "model" not in document:
        raise VocabError(f"{path} is JSON, but not a tokenizer.json: it has no `model`. {_CONVERT.capitalize()}")
    return document
