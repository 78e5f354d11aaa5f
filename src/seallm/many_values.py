"""A typed command line with several values after one option in, the spelling that typer knows out."""

from typing import Any

from typer.core import TyperCommand


class ManyValues(TyperCommand):
    """A command whose list options take several values at once: `--input a b` is `--input a --input b`."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Repeat the option before each further value."""
        many = {name for parameter in self.params if getattr(parameter, "multiple", False) for name in parameter.opts}
        spelled: list[str] = []
        option = ""
        for before, argument in zip(["", *args], args, strict=False):
            if argument.startswith("-"):
                option = argument
            elif option in many and before != option:
                spelled.append(option)
            spelled.append(argument)
        return super().parse_args(ctx, spelled)
