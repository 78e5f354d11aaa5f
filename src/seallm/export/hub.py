"""An exported folder in, a repository on a hub out; nothing else than an export is ever sent.

The token is what `hf auth login` or HF_TOKEN gives to huggingface_hub. It is not read here and shows nowhere.
"""

import fnmatch
from collections.abc import Sequence
from pathlib import Path

from seallm.base.errors import DataError, EndpointError
from seallm.base.hub import is_hub_id
from seallm.export.folder import RECORD

PUSHED = (
    "*.safetensors",
    "*.safetensors.index.json",
    "*.gguf",
    "config.json",
    "generation_config.json",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "chat_template.jinja",
    "tokenizer.model",
    "Modelfile",
    "README.md",
    "LICENSE",
    "LICENSE.txt",
    "NOTICE",
    RECORD,
)


def files_to_push(folder: Path) -> list[Path]:
    """The files of an exported folder.

    Raises:
        DataError: the folder is no export, or holds more than one.
    """
    if not (folder / RECORD).is_file():
        raise DataError(f"{folder} is no export (it has no {RECORD}). `seallm export MODEL --out DIR` makes one")
    found = sorted(folder.iterdir())
    others = [path.name for path in found if not _belongs(path)]
    if others:
        listed = ", ".join(others[:6]) + (", ..." if len(others) > 6 else "")
        raise DataError(f"{folder} holds more than an exported model: {listed}. Remove or move it, then push again")
    return found


def _belongs(path: Path) -> bool:
    # a link could lead out of the folder
    return path.is_file() and not path.is_symlink() and any(fnmatch.fnmatchcase(path.name, p) for p in PUSHED)


def push(folder: Path, files: Sequence[Path], name: str, *, private: bool, message: str) -> str:
    """Make the repository where there is none, and send the files in one commit.

    Args:
        folder: the export.
        files: from `files_to_push`.
        name: `owner/name`.
        private: whether a new repository is; one that exists stays as it is.
        message: of the commit.

    Returns:
        Address of the commit.

    Raises:
        DataError: the name is none.
        EndpointError: the hub cannot be reached or refuses.
    """
    from httpx2 import HTTPError
    from huggingface_hub import CommitOperationAdd, HfApi
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError

    if not is_hub_id(name):
        raise DataError(f"{name!r} is no repository; expected owner/name")
    api = HfApi()
    operations = [CommitOperationAdd(str(path.relative_to(folder)), str(path)) for path in files]
    try:
        api.create_repo(name, private=private, exist_ok=True)
        return str(api.create_commit(name, operations, commit_message=message).commit_url)
    except (HfHubHTTPError, HFValidationError, HTTPError, OSError) as error:
        first = next(iter(str(error).strip().splitlines()), type(error).__name__)
        raise EndpointError(
            f"The hub did not take {name}: {first}. Check the name, your connection, and `hf auth login` (or HF_TOKEN)"
        ) from None
