"""What a finished run says at its end: the headline figures, where the report lies, and how to chat."""

from rich.console import Console
from rich.table import Table

from seallm.base.files import read_json
from seallm.plan import Plan


def print_summary(plan: Plan, console: Console) -> None:
    """Print the report's headline table, its path and the command to chat, as far as the run has them."""
    folders = {stage.kind.name: stage.artifact.folder for stage in plan.stages if stage.artifact.is_finished()}
    if "report" not in folders:
        return
    table = Table(title=f"\n{plan.recipe.name}", title_justify="left")
    for column in ("", "result", "of what"):
        table.add_column(column)
    for row in read_json(folders["report"] / "report.json")["headline"]:
        table.add_row(row["label"], row["value"], row["detail"])
    console.print(table)
    seconds = sum((stage.artifact.manifest() or {}).get("seconds", 0.0) for stage in plan.stages)
    console.print(f"All stages together took {seconds / 60:.1f} minutes.", highlight=False)
    console.print(f"Report: {folders['report'] / 'report.html'}", highlight=False, soft_wrap=True)
    if {"sft", "dpo"} & set(folders):
        console.print(f"Chat:   seallm chat {plan.folder}", highlight=False, soft_wrap=True)
