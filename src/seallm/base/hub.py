"""A hub id in, a local folder with the wanted files out."""

import re
from collections.abc import Sequence
from pathlib import Path

from seallm.base.errors import DataError

MODEL_FILES = ("*.json", "*.safetensors", "*.jinja", "tokenizer.model")  # what a model consists of
_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+")


def is_hub_id(name: str) -> bool:
    """True for what can be a repository on the hub: `owner/name`."""
    return _HUB_ID.fullmatch(name) is not None


def download(name: str, patterns: Sequence[str], revision: str | None = None) -> Path:
    """Download files of a hub repository, or find them in the local cache.

    Args:
        name: `owner/name`.
        patterns: which files, such as `*.json`.
        revision: commit, branch or tag; absent: the newest.

    Raises:
        DataError: the hub did not give them; the message is the hub's first line.
    """
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(name, revision=revision, allow_patterns=list(patterns)))
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
        raise DataError(next(iter(str(error).strip().splitlines()), type(error).__name__)) from None
