"""A place in, a model that answers conversations out: a folder, vLLM, or a server, behind one interface.

    runs/my-model                     a run, a stage of a run, or a Hugging Face folder, computed here
    vllm:models/Qwen3-8B              the same kinds of folder, computed by vLLM (extra `vllm`)
    http://gpu-7:8000/v1#sea-8b       any server that speaks OpenAI's API; without #NAME its only model

Answers are kept on disk by what was asked of whom, so that nothing is computed or paid twice. Opening an endpoint loads
no torch.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from seallm.base.records import Message
from seallm.base.runtime import Runtime
from seallm.base.sampling import SamplingSettings
from seallm.endpoints.address import ApiKey, is_address
from seallm.endpoints.calls import Finish, Scored
from seallm.endpoints.metering import Meter
from seallm.endpoints.settings import EndpointSettings
from seallm.model.places import find_model

VLLM = "vllm:"


@dataclass(frozen=True)
class Question:
    """A conversation whose next turn is the assistant's.

    Attributes:
        messages: the conversation.
        language: whom the meter counts it for.
        draw: number of the draw, where the same conversation is answered several times.
    """

    messages: tuple[Message, ...]
    language: str = ""
    draw: int = 0


@dataclass(frozen=True)
class ChatAnswer:
    """The assistant's turn.

    Attributes:
        text: empty where there is none.
        finish: "stop" at its own end, "length" where it was cut, "filtered" where a server kept it back, "failed" where
            the question was given up.
        problem: why it was given up, one line.
    """

    text: str
    finish: Finish
    problem: str = ""


Prompt = str | Sequence[Message]
OnAnswer = Callable[[int, ChatAnswer], object]


def ignore_answer(number: int, answer: ChatAnswer) -> None:
    """What `answer` calls with each answer where nobody wants to know."""


class ChatModel(Protocol):
    """A model that answers."""

    @property
    def name(self) -> str:
        """As reports name it."""
        ...

    @property
    def meter(self) -> Meter:
        """Tokens by language, and what was reused or given up."""
        ...

    def answer(
        self,
        questions: Sequence[Question],
        sampling: SamplingSettings,
        *,
        stops: Sequence[str] = (),
        on_answer: OnAnswer = ignore_answer,
    ) -> list[ChatAnswer]:
        """Answer conversations. The same question, sampling and draw get the same answer, whatever stands beside it.

        Args:
            questions: what to answer.
            sampling: length and randomness.
            stops: strings at which an answer ends, left out of it.
            on_answer: called with the question's number and its answer as soon as it is known, in any order.

        Returns:
            One answer a question, in order; "failed" ones where a question was given up.

        Raises:
            EndpointError: no question would be answered by the server.
            ModelError: the model cannot be loaded.
        """
        ...

    def kept(
        self, questions: Sequence[Question], sampling: SamplingSettings, *, stops: Sequence[str] = ()
    ) -> list[ChatAnswer | None]:
        """The answers that are on disk; nothing is asked or computed. For estimates."""
        ...

    def score(self, requests: Sequence[tuple[Prompt, str]]) -> list[Scored]:
        """Log-likelihood of continuations.

        Args:
            requests: (prompt, continuation): after a plain text, the continuation as it stands; after a conversation,
                the beginning of the assistant's turn.

        Raises:
            EndpointError: a server that does not tell them, or is asked about a conversation: servers render
                conversations out of sight.
        """
        ...

    def choose(self, questions: Sequence[Question], options: Sequence[str]) -> list[list[float]]:
        """Natural-log probabilities (questions, options) that the answer begins with each option.

        Options should be single tokens, such as "A" and "B". Servers tell the likeliest tokens alone: an option that is
        not among them gets -inf.

        Raises:
            EndpointError: the server does not tell log-probabilities.
        """
        ...


@dataclass(frozen=True)
class ChatModelSettings:
    """How models are opened.

    Attributes:
        runtime: device, number type and threads of models that are computed here.
        batch_sequences: answers that are computed at once here.
        endpoint: pace and patience with servers.
        key: for servers.
        answers: folder that keeps all answers; None keeps none.
        gpu_memory_share: what vLLM may take.
    """

    runtime: Runtime = field(default_factory=Runtime)
    batch_sequences: int = 16
    endpoint: EndpointSettings = field(default_factory=EndpointSettings)
    key: ApiKey | None = None
    answers: Path | None = None
    gpu_memory_share: float = 0.9


def open_chat_model(place: str, settings: ChatModelSettings) -> ChatModel:
    """Open the model that a text names.

    Weights are loaded when the first answer has to be computed.

    Raises:
        EndpointError: the address of a server is none.
        ModelError: there is no finished model in a folder.
        MissingExtra: `vllm:`, and vLLM is not installed.
    """
    if is_address(place):
        from seallm.model.endpoint_chat_model import EndpointChatModel

        return EndpointChatModel(place, settings)
    find_model(Path(place.removeprefix(VLLM)))  # a wrong path is told before anything heavy is loaded
    if place.startswith(VLLM):
        from seallm.model.vllm_chat_model import VllmChatModel

        return VllmChatModel(Path(place.removeprefix(VLLM)), settings)
    from seallm.model.local_chat_model import LocalChatModel

    return LocalChatModel(Path(place), settings)
