"""Lines that start with / in the terminal chat: what each of them does to the conversation."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console

from seallm.base.errors import SeallmError
from seallm.languages import known_languages, load_language
from seallm.policies.loading import known_policies
from seallm.serve.dialogue import Dialogue
from seallm.serve.system_prompt import served_policy

HELP = """\
/system TEXT  set the system prompt;
              without TEXT: show it
/policy NAME  answer under a policy pack;
              none ends it, without NAME:
              list them
/lang CODE    system prompt in a language;
              auto ends it, without CODE:
              language of the last answer
/retry        answer the last message anew
/save FILE    keep the conversation (JSON)
/load FILE    take one up again
/reset        forget the conversation
/help         this
/exit         leave (or Ctrl-D)
Ctrl-C stops an answer. A line that ends
with \\ goes on; lines between two lines
of \"\"\" are one message. A line with //
at its start begins with one /."""


@dataclass
class Commands:
    """What the lines do.

    Attributes:
        identify: a text to the code of its language, None where that is not certain.
        is_over: True once /exit was said.
        again: a message to answer again.
    """

    dialogue: Dialogue
    notices: Console
    identify: Callable[[str], str | None]
    is_over: bool = field(default=False, init=False)
    again: str | None = field(default=None, init=False)

    def obey(self, line: str) -> None:
        """Do what a line says; what cannot be done is told."""
        command, _, text = line.partition(" ")
        known = {
            "/system": self._system,
            "/policy": self._policy,
            "/lang": self._language,
            "/retry": self._retry,
            "/save": self._save,
            "/load": self._load,
            "/reset": self._reset,
            "/help": self._help,
            "/exit": self._exit,
        }
        if command not in known:
            self._warn(f"there is no {command}")
            command = "/help"
        try:
            known[command](text.strip())
        except SeallmError as error:
            self._warn(str(error))
        except OSError as error:
            self._warn(f"{error.filename or text}: {error.strerror}")

    def _say(self, text: str) -> None:
        self.notices.print(text, style="dim", markup=False)

    def _warn(self, text: str) -> None:
        self.notices.print(text, style="yellow", markup=False)

    def _system(self, text: str) -> None:
        if text:
            self.dialogue.system = text
            self._say("new system prompt")
        else:
            self._say(self.dialogue.system or "no system prompt")

    def _policy(self, name: str) -> None:
        if name == "none":
            self.dialogue.policy = None
            self._say("no policy")
        elif name:
            self.dialogue.policy = served_policy(name)
            self._say(f"policy {self.dialogue.policy.name}: {len(self.dialogue.policy.prompts)} languages")
        else:
            own = self.dialogue.policy.name if self.dialogue.policy else "none"
            self._say(f"policy: {own}; there are {', '.join(known_policies(Path.cwd()))}")

    def _language(self, code: str) -> None:
        if code == "auto":
            self.dialogue.language = None
            self._say("the first message says the language")
        elif code in known_languages():
            self.dialogue.language = code
            self._say(f"system prompt in {load_language(code).name}")
        elif code:
            self._warn(f"there is no language {code}; there are {', '.join(known_languages())}")
        else:
            self._say(self._last_language())

    def _last_language(self) -> str:
        if not self.dialogue.turns:
            return "nothing was answered yet"
        code = self.identify(self.dialogue.turns[-1].content)
        if code is None:
            return "the language of the last answer is not certain"
        name = load_language(code).name if code in known_languages() else code
        return f"the last answer is in {name}"

    def _retry(self, _: str) -> None:
        self.again = self.dialogue.take_back()
        if self.again is None:
            self._warn("nothing was asked yet")

    def _save(self, name: str) -> None:
        if not name:
            self._warn("/save needs the name of a file")
        elif not self.dialogue.turns:
            self._warn("there is nothing to keep yet")
        else:
            self.dialogue.save(Path(name).expanduser())
            self._say(f"kept in {name}")

    def _load(self, name: str) -> None:
        if not name:
            self._warn("/load needs the name of a file")
            return
        policy = self.dialogue.load(Path(name).expanduser())
        self._say(f"{len(self.dialogue.turns)} turns")
        own = self.dialogue.policy.name if self.dialogue.policy else None
        if policy not in (None, own):
            self._say(f"it was held under the policy {policy}; /policy {policy} takes it up")

    def _reset(self, _: str) -> None:
        self.dialogue.forget()
        self._say("the conversation is forgotten")

    def _help(self, _: str) -> None:
        self._say(HELP)

    def _exit(self, _: str) -> None:
        self.is_over = True
