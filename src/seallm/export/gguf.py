"""A model folder in; a folder with its GGUF file out, written, read back and compared, with or without a Modelfile.

Beside the file stand the tokenizer and config.json, so that `seallm serve FOLDER --engine llama.cpp` runs it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from seallm.base.errors import ModelError
from seallm.base.files import write_text
from seallm.export.check_texts import CODE_GROUP, check_texts
from seallm.export.folder import new_folder, refuse_foreign, write_record
from seallm.export.gguf_check import Check, check_gguf
from seallm.export.gguf_file import Conversion, GgufType, plan_conversion, write_gguf
from seallm.export.gguf_vocabulary import added_around
from seallm.export.hugging_face import CARD, GENERATION, copy_if_there
from seallm.export.ollama import modelfile
from seallm.export.turns import read_turns
from seallm.model.checkpoints import load_tokenizer
from seallm.vocab.base_tokenizer import load_bpe

MODELFILE = "Modelfile"
_BESIDE = ("config.json", GENERATION, "tokenizer.json", "tokenizer_config.json", "chat_template.jinja")


@dataclass(frozen=True)
class GgufSettings:
    """How a GGUF file is made.

    Attributes:
        type: number type of the matrices.
        max_different_share: of a language's tokens, those that llama.cpp may cut otherwise.
        compares_output: continue prompts by both models; they must fit the memory together.
        for_ollama: write a Modelfile.
        system: the assistant's system prompt in it; None: none.
    """

    type: GgufType = "q8_0"
    max_different_share: float = 0.01
    compares_output: bool = True
    for_ollama: bool = False
    system: str | None = None


def export_gguf(
    folder: Path,
    out: Path,
    name: str,
    settings: GgufSettings,
    card: str | None,
    announce: Callable[[str], None],
) -> Check:
    """Write the folder.

    Args:
        folder: the model's.
        out: folder to write.
        name: of the model; the file is named after its last part.
        settings: how.
        card: text of README.md; None: none is written.
        announce: told what is being done.

    Raises:
        MissingExtra: gguf is not installed.
        ModelError: the model cannot be exported, llama.cpp cuts too much text otherwise, or the check failed.
        DataError: `out` holds something else than an export.
        WorkspaceError: the disk is full.
    """
    refuse_foreign(out)
    texts = check_texts()
    conversion = plan_conversion(folder, settings.type, [text for lines in texts.values() for text in lines])
    file_name = f"{name.replace('/', '-')}-{settings.type}.gguf"
    made = _modelfile(folder, name, file_name, settings) if settings.for_ollama else None
    with new_folder(out) as partial:
        announce(f"Writing {len(conversion.tensors):,} tensors to {file_name}")
        write_gguf(conversion, partial / file_name, name, settings.type)
        announce("Reading it back: tensors, token ids" + (", greedy output" if settings.compares_output else ""))
        found = check_gguf(
            partial / file_name, conversion, load_bpe(folder), texts, compares_output=settings.compares_output
        )
        _refuse_other_ids(conversion, found, settings)
        copy_if_there(folder, partial, *_BESIDE)
        for name_of, text in ((MODELFILE, made), (CARD, card)):
            if text is not None:
                write_text(partial / name_of, text)
        pre_tokenizer = conversion.vocabulary.fit.name if conversion.vocabulary.fit else None
        facts = {"number_type": settings.type, "pre_tokenizer": pre_tokenizer, "check": found.as_json()}
        write_record(partial, "ollama" if settings.for_ollama else "gguf", name, facts)
    return found


def _refuse_other_ids(conversion: Conversion, found: Check, settings: GgufSettings) -> None:
    of_languages = [pair for pair in found.different_share.items() if pair[0] != CODE_GROUP]
    worst = sorted(of_languages, key=lambda pair: -pair[1])
    if worst[0][1] > settings.max_different_share:
        listed = ", ".join(f"{code} {share:.2%}" for code, share in worst[:4])
        fit = conversion.vocabulary.fit
        nearest = f"; its nearest pre-tokenizer is {fit.name}" if fit else ""
        raise ModelError(
            f"{conversion.folder}: llama.cpp would cut text otherwise than this tokenizer{nearest}, and differ in "
            f"{listed} of the tokens. The model would answer worse there. Serve it with --to hf, or allow it with "
            "--max-different-ids"
        )


def _modelfile(folder: Path, name: str, file_name: str, settings: GgufSettings) -> str:
    tokenizer = load_tokenizer(folder)
    turns = read_turns(tokenizer, name)
    begins, _ = added_around(tokenizer)
    stops = [turns.around["assistant"][1].strip()] if turns.around["assistant"][1].strip() else []
    if tokenizer.eos_token and tokenizer.eos_token not in stops:
        stops.append(str(tokenizer.eos_token))
    bos = str(tokenizer.bos_token) if begins else None
    return modelfile(file_name, turns, bos=bos, stops=stops, system=settings.system)
