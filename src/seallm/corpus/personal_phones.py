"""A group of digits in, whether it is somebody's telephone number out, by the numbering plans of `phonenumbers`.

An international number (+66 ...) counts where its country's plan has it. A national one needs a reason: a word that
announces it, or the form in which people write numbers of the document's own country (a trunk 0 or area code, and a
mobile number or the plan's own grouping). Toll-free and premium numbers and those kept for fiction belong to nobody
and stay.
"""

import re
from typing import TYPE_CHECKING

from seallm.corpus.personal_keywords import PHONE

if TYPE_CHECKING:
    from phonenumbers import PhoneNumber

# countries in which a language's readers live: their own first; numbers of the others count when announced
_OWN_REGIONS: dict[str, tuple[str, ...]] = {
    "en": ("SG", "PH", "MY", "US"),
    "zh": ("CN", "TW", "SG", "MY", "HK"),
    "vi": ("VN",),
    "id": ("ID",),
    "th": ("TH",),
    "ms": ("MY", "BN", "SG"),
    "km": ("KH",),
    "lo": ("LA",),
    "my": ("MM",),
    "tl": ("PH",),
}
_ALL_REGIONS = ("TH", "VN", "ID", "MY", "PH", "SG", "MM", "KH", "LA", "BN", "TL", "CN", "TW", "HK", "US", "GB", "AU")
_SOUTH_EAST_ASIA = frozenset((66, 84, 62, 60, 63, 65, 95, 855, 856, 673, 670))

MIN_DIGITS, MAX_DIGITS = 8, 15
_FORM = re.compile(r"\(?\+?\(?\d{1,4}\)?(?:[-./ (]{0,2}\(?\d+\)?)*")
_CHINESE_MOBILE = re.compile(r"1[3-9]\d{9}|1[3-9]\d([ -])\d{4}\1\d{4}")
_AMERICAN = re.compile(r"\(\d{3}\) ?\d{3}-\d{4}")
_DATE = re.compile(r"\d{1,2}([-./ ])\d{1,2}\1\d{4}|\d{4}([-./ ])\d{1,2}\2\d{1,2}|\d{4}[-/ ]\d{4}|\d{8}")
_TRUNK_PREFIX = "0"
_ROUND = "000000"
_FICTION = re.compile(r"1?(?:\d{3})?55501\d\d")  # North American numbers for films and manuals


def is_phone(number: str, digits: str, language: str, announced: str | None) -> bool:
    """Whether the digits are a telephone number.

    Args:
        number: the digits with their separators, a leading `+` or `(` included.
        digits: the digits alone.
        language: of the document.
        announced: what the text before it announces.
    """
    if not MIN_DIGITS <= len(digits) <= MAX_DIGITS or not _FORM.fullmatch(number) or digits.endswith(_ROUND):
        return False
    if _FICTION.fullmatch(digits):
        return False
    if "+" in number:
        return _is_international(number, announced)
    if _DATE.fullmatch(number) and not (announced == PHONE and number.isdigit()):
        return False
    if announced == PHONE:
        return _is_announced(digits, language)
    return announced is None and _is_national(number, digits, language)


def _is_international(number: str, announced: str | None) -> bool:
    import phonenumbers

    parsed = _parse("+" + number.split("+", 1)[1], None)
    if parsed is None:
        return False
    if phonenumbers.is_valid_number(parsed):
        return not _belongs_to_nobody(parsed)
    # plans change faster than tables; where people write "+62 ..." the length is enough
    known = announced == PHONE or parsed.country_code in _SOUTH_EAST_ASIA
    return known and bool(phonenumbers.is_possible_number(parsed))


def _is_announced(digits: str, language: str) -> bool:
    import phonenumbers

    own = _OWN_REGIONS.get(language, ())
    for region in (*own, *(r for r in _ALL_REGIONS if r not in own)):
        parsed = _parse(digits, region)
        if parsed is not None and phonenumbers.is_valid_number(parsed):
            return not _belongs_to_nobody(parsed)
    # country code without its plus, as in wa.me/62812...
    parsed = _parse("+" + digits.removeprefix("00"), None)
    return parsed is not None and bool(phonenumbers.is_valid_number(parsed)) and not _belongs_to_nobody(parsed)


def _is_national(number: str, digits: str, language: str) -> bool:
    import phonenumbers

    if language == "zh" and _CHINESE_MOBILE.fullmatch(number):
        return True
    groups = re.findall(r"\d+", number)
    has_area = number.startswith("(") and ")" in number
    if digits[0] != _TRUNK_PREFIX and not has_area and "-" not in number:
        return False
    if len(groups) > 1 and (min(map(len, groups)) < 2 or ("." in number and len(groups) == 2)):
        return False
    # "(801) 596-1887" is how nobody writes anything but an American number
    elsewhere = ("US",) if _AMERICAN.fullmatch(number) else ()
    for region in (*_OWN_REGIONS.get(language, ()), *elsewhere):
        parsed = _parse(digits, region)
        if parsed is None or not phonenumbers.is_valid_number_for_region(parsed, region) or _belongs_to_nobody(parsed):
            continue
        usual = phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.NATIONAL)
        mobile = phonenumbers.number_type(parsed) == phonenumbers.PhoneNumberType.MOBILE
        if has_area or re.findall(r"\d+", usual) == groups or (mobile and digits[0] == _TRUNK_PREFIX):
            return True
    return False


def _parse(number: str, region: str | None) -> "PhoneNumber | None":
    import phonenumbers

    try:
        return phonenumbers.parse(number, region)
    except phonenumbers.NumberParseException:  # no such country, or digits too few for one
        return None


def _belongs_to_nobody(parsed: "PhoneNumber") -> bool:
    from phonenumbers import PhoneNumberType, number_type

    shared = (PhoneNumberType.TOLL_FREE, PhoneNumberType.PREMIUM_RATE, PhoneNumberType.SHARED_COST, PhoneNumberType.UAN)
    return number_type(parsed) in shared
