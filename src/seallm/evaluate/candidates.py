"""What a user names as MODEL in, the engine that answers for it out: a folder computed here or by vLLM, or a server."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

from seallm.base.files import file_fingerprint, fingerprint
from seallm.base.hub import MODEL_FILES
from seallm.base.runtime import Runtime
from seallm.endpoints.client import Endpoint
from seallm.model.chat_format import MARKER
from seallm.model.checkpoints import check_folder, load_model, load_tokenizer

Advance = Callable[[int], None]


class Candidate(Protocol):
    """A model to evaluate."""

    @property
    def name(self) -> str:
        """As figures name it."""
        ...

    @property
    def place(self) -> str:
        """Where it is."""
        ...

    @property
    def identity(self) -> str:
        """A fingerprint of all that decides its answers, as far as can be seen from here."""
        ...

    @property
    def has_chat_format(self) -> bool:
        """True where chat prompts suit it best."""
        ...

    @property
    def sees_tokens(self) -> bool:
        """True where bits and tokens of a text can be counted."""
        ...

    def check(self) -> None:
        """Find out before anything is measured whether it can be.

        Raises:
            ModelError: its folder is incomplete.
        """
        ...

    def choices_by(self, is_chat: bool) -> str:
        """What choices are compared by: "likelihood", or "letter" where the model writes the letter of one."""
        ...

    def renamed(self, name: str) -> "Candidate":
        """The same under another name."""
        ...

    def open(self, batch_sequences: int, seed: int, runtime: Runtime, advance: Advance) -> Any:
        """Its engine, an `LM` of lm-evaluation-harness."""
        ...


@dataclass(frozen=True)
class FolderCandidate:
    """A Hugging Face folder that is computed here."""

    name: str
    folder: Path
    sees_tokens = True

    @property
    def place(self) -> str:
        """The folder."""
        return str(self.folder)

    @property
    def identity(self) -> str:
        """Configuration, weights and tokenizer."""
        files = sorted({file for pattern in MODEL_FILES for file in self.folder.glob(pattern)})
        return fingerprint([[file.name, file_fingerprint(file)] for file in files])

    @property
    def has_chat_format(self) -> bool:
        """True for a model that was trained on conversations in the chat format of seallm."""
        tokenizer = load_tokenizer(self.folder)
        return MARKER in tokenizer.get_added_vocab() and tokenizer.chat_template is not None

    def check(self) -> None:
        """See that the folder is complete."""
        check_folder(self.folder)

    def choices_by(self, is_chat: bool) -> str:
        """Always by likelihood."""
        return "likelihood"

    def renamed(self, name: str) -> "FolderCandidate":
        """The same folder."""
        return replace(self, name=name)

    def open(self, batch_sequences: int, seed: int, runtime: Runtime, advance: Advance) -> Any:
        """Load the model."""
        from seallm.evaluate.engine import Engine

        return Engine(load_model(self.folder, runtime), load_tokenizer(self.folder), batch_sequences, seed, advance)


@dataclass(frozen=True)
class VllmCandidate(FolderCandidate):
    """A Hugging Face folder that vLLM computes."""

    gpu_memory_share: float = 0.9

    @property
    def place(self) -> str:
        """The folder, and what computes it."""
        return f"vllm:{self.folder}"

    @property
    def identity(self) -> str:
        """As of the folder, and what computes it: rounding differs."""
        return fingerprint(["vllm", super().identity])

    def open(self, batch_sequences: int, seed: int, runtime: Runtime, advance: Advance) -> Any:
        """Open the model; vLLM starts at the first request.

        Raises:
            MissingExtra: vLLM is not installed.
        """
        from seallm.evaluate.vllm_engine import VllmEngine
        from seallm.model.chat_models import ChatModelSettings
        from seallm.model.vllm_chat_model import VllmChatModel

        settings = ChatModelSettings(runtime=runtime, gpu_memory_share=self.gpu_memory_share)
        return VllmEngine(VllmChatModel(self.folder, settings), seed, advance)


@dataclass(frozen=True)
class EndpointCandidate:
    """A model behind a server that speaks OpenAI's API."""

    name: str
    endpoint: Endpoint = field(repr=False)
    sees_tokens = False

    @property
    def place(self) -> str:
        """The address."""
        return f"{self.endpoint.address.url}#{self.endpoint.model}"

    @property
    def identity(self) -> str:
        """The address, and how choices are compared: that other weights answer now cannot be seen from here."""
        return fingerprint([self.place, self._probed.tells_likelihoods])

    @property
    def has_chat_format(self) -> bool:
        """True where the server tells no likelihoods of plain prompts: then it is asked as one asks an assistant."""
        return not self._probed.tells_likelihoods

    def check(self) -> None:
        """Nothing can be seen before the first question."""

    def choices_by(self, is_chat: bool) -> str:
        """By likelihood on plain prompts, where the server tells it."""
        return "letter" if is_chat or not self._probed.tells_likelihoods else "likelihood"

    def renamed(self, name: str) -> "EndpointCandidate":
        """The same server."""
        return replace(self, name=name)

    @cached_property
    def _probed(self) -> Any:
        return self.open(1, 0, Runtime(), lambda _: None)

    def open(self, batch_sequences: int, seed: int, runtime: Runtime, advance: Advance) -> Any:
        """An engine over the server."""
        from seallm.evaluate.endpoint_engine import EndpointEngine

        return EndpointEngine(self.endpoint, seed, advance)
