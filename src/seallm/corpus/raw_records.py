"""What a reader yields: a raw document, a record it cannot use, or one that is no text."""

from dataclasses import dataclass


@dataclass(frozen=True)
class RawDocument:
    """A document as it lies in its source: a page to extract, or text.

    Attributes:
        where: file and place in it, for messages.
        page: HTML as it was sent, or None where `text` is given.
        encoding: the declared encoding of the page.
        text: the text, or None where `page` is given.
    """

    where: str
    page: bytes | None = None
    encoding: str | None = None
    text: str | None = None
    id: str | None = None
    url: str | None = None
    source: str | None = None
    licence: str | None = None


@dataclass(frozen=True)
class BadRecord:
    """A record that cannot be read; it goes to the quarantine."""

    where: str
    reason: str


@dataclass(frozen=True)
class SkippedRecord:
    """A sound record that holds no page (an image, a redirect, a request); it is counted by kind."""

    kind: str


RawRecord = RawDocument | BadRecord | SkippedRecord
