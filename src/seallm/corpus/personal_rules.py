"""One candidate with its surroundings in, the spans of it that are personal data out, each with its type.

A run of digits can hold several numbers ("2023 081-234-5678"), so every stretch of whole groups is tried, the longest
first. It must not be part of something longer: a decimal, a code, an address of the web.
"""

import ipaddress
import re
from collections.abc import Iterator
from typing import NamedTuple

from seallm.corpus.personal_candidates import ADDRESS, HEXADECIMAL, MIN_DIGITS, NRC_DIGITS, NRIC_DIGITS
from seallm.corpus.personal_ids import burmese_nrc, is_card, is_identity, is_singaporean
from seallm.corpus.personal_keywords import CODE, ID, IP, PHONE, REACH_BYTES, Announcement, announced
from seallm.corpus.personal_phones import is_phone

TYPES = ("email", "phone", "card", "id", "ip")
EMAIL_TYPE, PHONE_TYPE, CARD_TYPE, ID_TYPE, IP_TYPE = range(5)

_MOST_GROUPS, _MOST_DIGITS = 9, 19
# characters between the word and the number; a telephone's word may stand further away
_REACH = {CODE: 20, ID: 12, IP: 12}
_VERSION_REACH = 3


class Found(NamedTuple):
    """Characters `start` to `end` of a run are data of a type; `start` may be negative: it reaches into the left."""

    start: int
    end: int
    type: int


def _ascii_forms() -> dict[int, str]:
    table = {zero + d: str(d) for zero in (0xE50, 0xED0, 0x17E0, 0x1040, 0x1090, 0xFF10) for d in range(10)}
    dashes = dict.fromkeys((0x2010, 0x2011, 0x2012, 0x2013, 0xFF0D), "-")
    return table | dashes | {0xFF08: "(", 0xFF09: ")", 0xFF0B: "+", 0xFF20: "@"}


_ASCII_FORMS = _ascii_forms()


def to_ascii(text: str) -> str:
    """Native digits and full-width signs as ASCII, character for character."""
    return text if text.isascii() else text.translate(_ASCII_FORMS)


def judge_candidate(kind: int, left: str, run: str, right: str, language: str) -> list[Found]:
    """What a candidate holds.

    Args:
        kind: ADDRESS, NUMBER or HEXADECIMAL.
        left: the text before the run, in ASCII forms.
        run: the candidate, in ASCII forms.
        right: the text after it.
        language: code of the document's language.
    """
    if kind == ADDRESS:
        return _judge_address(run)
    if kind == HEXADECIMAL:
        return _judge_hexadecimal(left, run, right)
    return list(_judge_number(left, run, right, language))


# names kept for examples (RFC 2606, RFC 6761) and for machines; endings of files, which follow an @ in "photo@2x.png"
_EXAMPLE_DOMAIN = re.compile(
    r"(?:^|\.)(?:(?:example|test|invalid|localhost|local|internal|lan|domain|ext)$|example\.[a-z.]+$)", re.IGNORECASE
)
_FILE = re.compile(r"\.(?:png|jpe?g|gif|svg|webp|css|js|ts|json|html?|php|py|xml|ya?ml|txt|md|pdf)$", re.IGNORECASE)
_MACHINE = re.compile(r"git|root|user(?:name)?|no-?reply|do-?not-?reply|postmaster|mailer-daemon", re.IGNORECASE)
# an office or a function, not a person: the names of RFC 2142 and their like, and mailing lists
_OFFICE = re.compile(
    r"info|contact|support|help|helpdesk|service|sales|marketing|press|media|news|editor|redaksi|office|admin|abuse|noc|"
    r"security|webmaster|hostmaster|www|ftp|feedback|enquir(?:y|ies)|customer-?(?:care|service)|privacy|jobs|careers",
    re.IGNORECASE,
)
_LIST_DOMAIN = re.compile(r"^(?:lists?|groups|bugs)\.|^(?:googlegroups\.com|groups\.io|freelists\.org)$", re.IGNORECASE)
_DOMAIN = re.compile(r"(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+(?:[a-z]{2,24}|xn--[a-z0-9-]{1,59})", re.IGNORECASE)


def _judge_address(run: str) -> list[Found]:
    at = run.index("@")
    local, domain = run[:at], run[at + 1 :]
    skipped = len(local) - len(local.lstrip(".-_%+"))  # "...name@", "-name@"
    local = local[skipped:]
    match = _DOMAIN.match(domain.rstrip(".-"))
    if not local or local[-1] in "." or not match or len(match.group()) < len(domain.rstrip(".-")):
        return []
    if _EXAMPLE_DOMAIN.search(match.group()) or _FILE.search(match.group()) or _LIST_DOMAIN.search(match.group()):
        return []
    if _MACHINE.fullmatch(local) or _OFFICE.fullmatch(local):
        return []
    return [Found(skipped, at + 1 + match.end(), EMAIL_TYPE)]


_PUBLIC_SERVERS = ("8.8.8.8", "8.8.4.4", "1.1.1.1", "1.0.0.1", "9.9.9.9", "208.67.222.222", "208.67.220.220")
_PUBLIC_V6 = ipaddress.ip_network("2000::/3")
_V4_FORM = re.compile(r"\d{1,3}(?:\.\d{1,3}){3}")
_MAX_V4_PART, _MIN_V4_LENGTH = 255, 7
_MIN_V4_PART, _MIN_V4_DIGITS = 100, 8


def _judge_hexadecimal(left: str, run: str, right: str) -> list[Found]:
    text = run.rstrip(":") if not run.endswith("::") else run
    if _is_word(left[-1:]) or _is_word(right[:1]):
        return []
    try:
        address = ipaddress.IPv6Address(text)
    except ValueError:
        return []
    public = address in _PUBLIC_V6 and address.is_global
    return [Found(0, len(text), IP_TYPE)] if public else []


def _is_public_v4(number: str, is_announced: bool) -> bool:
    """A public IPv4 address; four small numbers are a version or a section unless the text says otherwise."""
    parts = number.split(".")
    if any((len(part) > 1 and part[0] == "0") or int(part) > _MAX_V4_PART for part in parts):
        return False
    address = ipaddress.IPv4Address(number)
    is_network = parts[-1] == "0"
    if not address.is_global or address.is_multicast or is_network or number in _PUBLIC_SERVERS:
        return False
    return is_announced or max(map(int, parts)) >= _MIN_V4_PART or sum(map(len, parts)) >= _MIN_V4_DIGITS


_WEB_TOKEN = re.compile(r"(?:://|www\.|[\w-]\.[a-z]{2,}/|[?&=%#])[\x21-\x7e]*$")
_DIALLED = re.compile(r"(?:wa\.me/|tel:|phone=|sms:)(?:%2B|\+)?$", re.IGNORECASE)
_PREFIX = re.compile(r"(?:\(\+?|\+\(?)$")
# what shows that the digits go on to the left or the right: a code, a decimal, an amount of money
_GLUED_LEFT = re.compile(r"(?:[A-Za-z0-9][-._/=+&%#\\*:]|[A-Za-z_]|[#$€£¥฿₫₱*\\]|\d,)$")
_GLUED_RIGHT = re.compile(
    r"(?![xX]\d)[A-Za-z_%°]|,\d|[-.]\w|[:/+]\d|\s?(?:[元圆円万萬亿億人次]|บาท|คน|ກີບ|រៀល|ကျပ်|đồng|đ\b|người|VN[DĐ]|USD|IDR)"
)
_LABEL = re.compile(r"[A-Z][A-Za-z-]{1,9} ?[.:]")
_VALUE_OF_CODE = re.compile(r"[=\[{(\"',:] ?$")
_FREE_BREAKS = frozenset((" ", "/", " (", ") "))


class _Stretch(NamedTuple):
    """Whole groups of a run: characters `start` to `end` of it, with a `+` or `(` before them in `number`."""

    start: int
    end: int
    number: str
    digits: str
    breaks: tuple[str, str]  # the separators to the groups before and after, empty at the ends of the run


def _judge_number(left: str, run: str, right: str, language: str) -> Iterator[Found]:
    special = _special_code(left, run, right)
    if special:
        yield special
        return
    dialled = bool(_DIALLED.search(left))
    groups = [match.span() for match in re.finditer(r"\d+", run)]
    done = 0
    for first, (start, _) in enumerate(groups):
        if start < done:
            continue
        stretches = list(_stretches(first, groups, left, run, right))
        if not stretches:
            continue
        before = (left + run[max(0, start - REACH_BYTES) : start])[-REACH_BYTES:]
        word = announced(before)
        if dialled and start == 0:
            word = Announcement(PHONE, 0)
        elif _WEB_TOKEN.search(before):
            continue
        for stretch in stretches:
            kind = _type_of(stretch, before, right, word, language)
            if kind is not None:
                yield Found(stretch.start, stretch.end, kind)
                done = stretch.end
                break


def _stretches(first: int, groups: list[tuple[int, int]], left: str, run: str, right: str) -> Iterator[_Stretch]:
    """All stretches of groups from `first` on that can be a number by their digits, the longest first."""
    start = groups[first][0]
    before = groups[first - 1][1] if first else start
    prefix = _PREFIX.search(left) if first == 0 else _PREFIX.search(run[before:start])
    for last in range(min(first + _MOST_GROUPS, len(groups)) - 1, first - 1, -1):
        end = groups[last][1]
        inside = run[start:end]
        if not _MIN_V4_LENGTH <= len(inside) <= 2 * _MOST_DIGITS:
            continue
        sign = prefix.group() if prefix else ""
        if ")" not in inside:
            sign = sign.replace("(", "")
        begin = start - len(sign)
        after = run[end : groups[last + 1][0]] if last + 1 < len(groups) else ""
        breaks = run[before : max(begin, before)], after
        if any(b and (b not in _FREE_BREAKS or (b.strip("()") in inside and "+" not in sign)) for b in breaks):
            continue  # groups that stand alike inside and around are a table, or one longer number
        digits = "".join(filter(str.isdigit, inside))
        is_chinese = not after and len(digits) == 17 and right[:1] in ("x", "X")
        number = sign + inside + (right[0].upper() if is_chinese else "")
        if MIN_DIGITS <= len(digits) <= _MOST_DIGITS or _V4_FORM.fullmatch(number):
            yield _Stretch(begin, end + is_chinese, number, digits, breaks)


def _type_of(stretch: _Stretch, before: str, right: str, word: Announcement | None, language: str) -> int | None:
    number, digits = stretch.number, stretch.digits
    sign = len(number) - len(number.lstrip("+("))
    before = before[: len(before) - sign]
    said_here = word is not None and word.distance <= 1 + sign
    at_ends = not stretch.breaks[0], not stretch.breaks[1]
    if at_ends[0] and not said_here and _GLUED_LEFT.search(before):
        return None
    is_v4 = bool(_V4_FORM.fullmatch(number))
    cut_off = right[len(number) - len(number.rstrip("X")) :]
    goes_on = _GLUED_RIGHT.match(cut_off) and not (is_v4 and cut_off[0] in ":/")
    # "Tel : 03 4023 3270Fax : ..." - line ends get lost between table cells
    next_label = word is not None and word.kind == PHONE and _LABEL.match(cut_off)
    if at_ends[1] and goes_on and not next_label:
        return None
    kind = _reaching(word)
    if is_v4:
        is_version = word is not None and word.kind == CODE and word.distance <= _VERSION_REACH
        return IP_TYPE if not is_version and _is_public_v4(number, kind == IP) else None
    if is_card(number, digits, kind):
        return CARD_TYPE
    is_value = kind == CODE or bool(_VALUE_OF_CODE.search(before))
    if is_identity(number, digits, language, kind, is_value):
        return ID_TYPE
    return PHONE_TYPE if is_phone(number, digits, language, kind) else None


def _reaching(word: Announcement | None) -> str | None:
    """What the number is announced as, by a word that is near enough for its kind."""
    if word is None or word.distance > _REACH.get(word.kind, word.distance):
        return None
    return word.kind


def _special_code(left: str, run: str, right: str) -> Found | None:
    """Codes of letters and digits: Burmese registration numbers and Singapore's."""
    digits = re.match(r"\d+", run)
    length = digits.end() if digits else 0
    if length == NRC_DIGITS:
        reach = burmese_nrc(left, run[:length])
        return Found(-reach, length, ID_TYPE) if reach else None
    code = left[-1:] + run[:length] + right[:1]
    if length == NRIC_DIGITS == len(run) and is_singaporean(code) and not _is_word(left[-2:-1] + right[1:2]):
        return Found(-1, length + 1, ID_TYPE)
    return None


def _is_word(text: str) -> bool:
    return any(character.isascii() and character.isalnum() for character in text)
