"""The verbs `seallm chat-data ...`: import, check, mix and look at conversations without a recipe."""

import typer

chat_data_app = typer.Typer(
    name="chat-data",
    help="Import, check, mix and look at conversations without a recipe.",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
)
