"""A policy in; what is allowed but likely to be a mistake, one line each, out."""

import re
from collections.abc import Iterator

from seallm.policies.pack import DECLINING, HELPLINES, PackLanguage, Policy, TopicTexts
from seallm.policies.refusals import judge_wording

_CONTROL = re.compile(r"<\|[^|>]{1,40}\|>|</?s>|\[/?INST\]|<(?:bos|eos|pad|unk)>", re.IGNORECASE)


def warnings(policy: Policy) -> Iterator[str]:
    """What a person should look at: languages without some topic, words that the rules read otherwise, control strings.

    Control strings do no harm: text is never encoded as a control token. But nobody writes them by intention.
    """
    for code, texts in policy.languages.items():
        missing = [name for name in policy.topics if name not in texts.topics]
        if missing:
            yield f"languages.{code} has no texts of {', '.join(missing)}"
        yield from _control_strings(code, policy.system_prompt(code), "system_prompt")
        for name, said in texts.topics.items():
            place = f"languages.{code}.topics.{name}"
            yield from _wordings(place, code, texts, said, policy.topics[name].behaviour)
            yield from _thin(place, said, policy.topics[name].behaviour)
            for kind, prompts in said.model_dump().items():
                yield from _control_strings(code, str(prompts), f"topics.{name}.{kind}")


def _wordings(place: str, code: str, texts: PackLanguage, said: TopicTexts, behaviour: str) -> Iterator[str]:
    own = texts.refusals
    if behaviour == "refuse":
        for reply in said.replies:
            if (verdict := judge_wording(reply, code, own)) != "refusal":
                yield (
                    f"{place}: the rules read a reply as {verdict}, not as a refusal; reword it, or add its wording to "
                    f"`refusals`: {reply[:60]!r}"
                )
    for exchange in said.harmless:
        if (verdict := judge_wording(exchange.answer, code, own)) != "answer":
            yield f"{place}: the rules read the answer to a harmless prompt as {verdict}: {exchange.answer[:60]!r}"


def _thin(place: str, said: TopicTexts, behaviour: str) -> Iterator[str]:
    """Seeds without tests cannot be measured; refusals without look-alikes teach over-refusal."""
    if said.harmful and not said.harmful_tests:
        yield f"{place} has `harmful` but no `harmful_tests`: what is learned from it is not measured"
    if behaviour in DECLINING and said.harmful and not said.harmless:
        yield f"{place} has `harmful` but no `harmless` look-alikes: a model may learn to decline them too"


def _control_strings(code: str, text: str, place: str) -> Iterator[str]:
    if match := _CONTROL.search(text.replace(HELPLINES, "")):
        yield f"languages.{code}: {place} has {match[0]!r}; it stays plain text and never becomes a control token"
