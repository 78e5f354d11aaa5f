"""A policy in, lines for the terminal out."""

from collections.abc import Iterator

from seallm.languages import load_language
from seallm.policies.pack import Policy, TopicTexts


def policy_lines(policy: Policy, *, with_prompts: bool) -> Iterator[str]:
    """What a pack says; harmful prompts and tests only on wish, since they may upset or be copied from a screen."""
    yield f"{policy.name}: {policy.about}"
    yield ""
    for name, topic in policy.topics.items():
        yield f"  {topic.behaviour:<9} {name}: {topic.title}"
    for code, texts in policy.languages.items():
        yield ""
        yield f"{load_language(code).name} ({code})"
        yield f"  system prompt  {policy.system_prompt(code)}"
        yield from (f"  helpline       {line.name}: {line.contact}" for line in texts.helplines)
        for name, said in texts.topics.items():
            yield f"  {name}: {_counts(said)}"
            yield from (f"    reply    {reply}" for reply in said.replies)
            yield from (f"    note     {note}" for note in [said.note] if note)
            yield from (f"    harmless {exchange.prompt} -> {exchange.answer}" for exchange in said.harmless)
            if with_prompts:
                for kind in ("harmful", "harmful_tests", "harmless_tests"):
                    yield from (f"    {kind} {prompt}" for prompt in getattr(said, kind))


def _counts(said: TopicTexts) -> str:
    harmful, harmless = (len(said.harmful), len(said.harmful_tests)), (len(said.harmless), len(said.harmless_tests))
    return f"{harmful[0]} harmful and {harmless[0]} harmless seeds, {harmful[1]} and {harmless[1]} tests"
