"""Base folder and new tokens in, a tokenizer folder that Hugging Face loads out.

Old ids do not move: new tokens get the ids behind everything, added tokens included. Added tokens that a base keeps
outside its model vocabulary (Llama-3, Qwen) are written into it under their old ids; otherwise the tokenizers library
would number them anew behind the new tokens.
"""

import copy
import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from seallm.base.files import read_json, write_json, write_text
from seallm.vocab.base_tokenizer import TOKENIZER_FILE, BpeTokenizer

CONFIG_FILE = "tokenizer_config.json"
# what describes a tokenizer beside its vocabulary; vocab.json, merges.txt, tokenizer.model would contradict the new one
COPIED_FILES = ("special_tokens_map.json", "chat_template.jinja", "chat_template.json", "added_tokens.json")
# classes that load tokenizer.json as it is; others rebuild the pre-tokenizer from their own code and lose its repair
FAITHFUL_CLASSES = ("PreTrainedTokenizerFast", "TokenizersBackend")


def extended_document(
    base: BpeTokenizer, symbols: Mapping[str, int], merges: Sequence[tuple[str, str, int]]
) -> dict[str, Any]:
    """The base's `tokenizer.json` with new symbols and merges (left, right, id of the result) at the end."""
    document = copy.deepcopy(dict(base.document))
    model = document["model"]
    vocabulary = {**model["vocab"], **base.added_tokens, **symbols}
    vocabulary.update({left + right: new_id for left, right, new_id in merges})
    model["vocab"] = dict(sorted(vocabulary.items(), key=lambda entry: entry[1]))
    model["merges"] = [list(pair) for pair in base.merges] + [[left, right] for left, right, _ in merges]
    return document


def write_tokenizer(base_folder: Path, document: Mapping[str, Any], out: Path) -> None:
    """Write a tokenizer folder: the document, and what describes it copied from the base."""
    out.mkdir(parents=True, exist_ok=True)
    for name in COPIED_FILES:
        if (base_folder / name).is_file():
            shutil.copyfile(base_folder / name, out / name)
    config = read_json(base_folder / CONFIG_FILE) if (base_folder / CONFIG_FILE).is_file() else {}
    if config.get("tokenizer_class") not in FAITHFUL_CLASSES:
        config["tokenizer_class"] = FAITHFUL_CLASSES[0]
    write_json(out / CONFIG_FILE, config)
    write_text(out / TOKENIZER_FILE, Tokenizer.from_str(json.dumps(document)).to_str(pretty=True) + "\n")
