"""A chat model's GGUF file and turns in; an Ollama Modelfile out, whose template makes the same prompts.

Ollama puts the beginning of sequence in front by itself where the file says so; the template leaves it out then. It
does not strip white space from contents, which our chat template does.
"""

from collections.abc import Sequence

from seallm.base.errors import ModelError
from seallm.export.turns import Turns

_QUOTE = '"""'


def modelfile(file_name: str, turns: Turns, *, bos: str | None, stops: Sequence[str], system: str | None) -> str:
    """The text of a Modelfile.

    Args:
        file_name: of the GGUF file beside it.
        turns: of the chat template.
        bos: beginning of sequence that the GGUF file already has put in front; None: it has none put.
        stops: texts that end an answer.
        system: the assistant's system prompt; None: none.

    Raises:
        ModelError: a text cannot be written there.
    """
    lines = [f"FROM ./{file_name}", f"TEMPLATE {quoted(go_template(turns, bos))}"]
    lines += [f"PARAMETER stop {stop_text(stop)}" for stop in stops]
    if system:
        lines.append(f"SYSTEM {quoted(system.strip())}")
    return "\n".join(lines) + "\n"


def go_template(turns: Turns, bos: str | None = None) -> str:
    """The chat template in Go's form."""
    opening = turns.opening.removeprefix(bos) if bos else turns.opening
    text = literal(opening)
    if turns.without_system:
        text += "{{ if not .System }}" + literal(turns.without_system) + "{{ end }}"
    text += "{{ range .Messages }}"
    if _is_alike(turns):
        before, after = turns.around["user"]
        head, _, tail = before.partition("user")
        text += f"{literal(head)}{{{{ .Role }}}}{literal(tail)}{{{{ .Content }}}}{literal(after)}"
    else:
        for place, (role, (before, after)) in enumerate(turns.around.items()):
            text += "{{ " + ("if" if place == 0 else "else if") + f' eq .Role "{role}" }}}}'
            text += f"{literal(before)}{{{{ .Content }}}}{literal(after)}"
        text += "{{ end }}"
    return text + "{{ end }}" + literal(turns.prompt)


def _is_alike(turns: Turns) -> bool:
    """True where turns differ in the name of their role alone."""
    forms = {before.replace(role, "", 1) for role, (before, _) in turns.around.items()}
    is_named = all(role in before for role, (before, _) in turns.around.items())
    return is_named and len(forms) == 1 and len({after for _, after in turns.around.values()}) == 1


def literal(text: str) -> str:
    """Text that a Go template gives as it is."""
    return text.replace("{{", '{{ "{{" }}')


def quoted(text: str) -> str:
    """A value of a Modelfile that may have several lines.

    Raises:
        ModelError: it holds three quotation marks in a row.
    """
    if _QUOTE in text or text.endswith('"'):
        raise ModelError(f"{text[:60]!r} holds quotation marks that a Modelfile has no way to write; change the text")
    return _QUOTE + text + _QUOTE


def stop_text(text: str) -> str:
    """A stop string as a parameter of a Modelfile."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'
