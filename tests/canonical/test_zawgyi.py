import unicodedata

import pytest

from seallm.canonical.zawgyi import SURE, converted_line, to_unicode, zawgyi_lines, zawgyi_log_odds

# NTREX-128 (CC BY-SA 4.0): Burmese, as published
_NEWS = "၄င္းသည္ ေဝလအမ်ိဳးသား ညီလာခံဟူေသာ အမည္မွ ေ၀လအမ်ိဳးသား လႊတ္ေတာ္သို႔ ေျပာင္းလဲရန္ စီစဥ္ထားရွိမႈမ်ားေၾကာင့္ ေပၚေပါက္လာရျခင္း ျဖစ္ပါသည္။"
_NEWS_IN_UNICODE = (
    "၎င်းသည် ဝေလအမျိုးသား ညီလာခံဟူသော အမည်မှ ဝေလအမျိုးသား လွှတ်တော်သို့ ပြောင်းလဲရန် စီစဉ်ထားရှိမှုများကြောင့် ပေါ်ပေါက်လာရခြင်း ဖြစ်ပါသည်။"
)
# Universal Declaration of Human Rights (public domain), article 1 or 3
_UNICODE = {
    "Burmese": "လူတိုင်းသည် တူညီ လွတ်လပ်သော ဂုဏ်သိက္ခာဖြင့် လည်းကောင်း၊ တူညီလွတ်လပ်သော အခွင့်အရေးများဖြင့် လည်းကောင်း၊ မွေးဖွားလာသူများ ဖြစ်သည်။",
    "Shan": "ၵူၼ်းၵူႊၵေႃႉ မီးသုၼ်ႇလႆႈ တႃႇၶီးၸိုၼ်ႈ၊ တႃႇလွတ်ႈလႅဝ်းထၢင်ႇႁၢင်ႊ လႄႈ တႃႇႁူမ်ႇလူမ်ႈၸူဝ်ႊပၢၼ်မၼ်း။",
    "Mon": "ဇၟာပ်မၞိဟ်တအ် အခေါၚ်ဂျိုၚ်တဴလမျီု၊ အခေါၚ်ဗၠးၜး ကေုာံ အခေါၚ်ဂီုကၠီု ပရေၚ်ပူဂဵုမၞိဟ် ဒးနွံရ။",
    "Karen": "ပှၤကညီခဲလၢာ်အိၣ်ဖျဲၣ်လၢအသဘျ့ဒီးအိၣ်ဒီးသူးသ့ၣ်လၤကပီၤဒီးခွဲးယာ်တုၤသိးလီၤ။",
    "Pali": "ဗုဒ္ဓံ သရဏံ ဂစ္ဆာမိ၊ ဓမ္မံ သရဏံ ဂစ္ဆာမိ၊ သံဃံ သရဏံ ဂစ္ဆာမိ။",
}


def _converted(text: str) -> str:
    return unicodedata.normalize("NFC", to_unicode(text))


def test_a_published_sentence() -> None:
    assert zawgyi_log_odds(_NEWS) > 10 * SURE
    assert _converted(_NEWS) == _NEWS_IN_UNICODE
    assert zawgyi_log_odds(_NEWS_IN_UNICODE) < -10 * SURE


@pytest.mark.parametrize("language", _UNICODE)
def test_unicode_is_not_taken_for_zawgyi(language: str) -> None:
    assert zawgyi_log_odds(_UNICODE[language]) < SURE / 3
    assert zawgyi_lines([_UNICODE[language]] * 5) == [False] * 5


@pytest.mark.parametrize(
    ("zawgyi", "expected"),
    [
        ("ျမန္မာ", "မြန်မာ"),
        ("ေက်ာင္း", "ကျောင်း"),
        ("အဂၤလိပ္", "အင်္ဂလိပ်"),
        ("တနဂၤေႏြ", "တနင်္ဂနွေ"),
        ("ပိႆာ", "ပိဿာ"),
        ("ႏွစ္", "နှစ်"),
        ("ခႏၶာ", "ခန္ဓာ"),
        ("ဦးေႏွာက္", "ဦးနှောက်"),
        ("ေယာက္်ား", "ယောက်ျား"),
        ("ကြၽႏု္ပ္", "ကျွန်ုပ်"),
        ("ေဈး ေစ်း", "ဈေး ဈေး"),
        ("ၾသဂုတ္", "ဩဂုတ်"),
        ("သို႔ သူ႕ ခဲ့", "သို့ သူ့ ခဲ့"),
        ("ဥာဏ္ ဥစၥာ", "ဉာဏ် ဥစ္စာ"),
        ("၂၀၁၀ ၀န္ႀကီး", "၂၀၁၀ ဝန်ကြီး"),
        ("က႑ ပ႒ာန္း", "ကဏ္ဍ ပဋ္ဌာန်း"),
        ("မႈ မႉး ရႊံ႕", "မှု မှူး ရွှံ့"),
        ("plain 12, ไทย", "plain 12, ไทย"),
    ],
)
def test_known_words(zawgyi: str, expected: str) -> None:
    assert _converted(zawgyi) == expected


def test_a_text_of_both_encodings() -> None:
    lines = [_NEWS, "ေက်ာင္း", _UNICODE["Burmese"], "", "plain", "ကျောင်း"]
    assert zawgyi_lines(lines) == [True, True, False, False, False, False]
    assert zawgyi_lines(["ေက်ာင္း", _UNICODE["Burmese"]])[1] is False


def test_what_does_not_come_out_as_unicode_is_refused() -> None:
    assert converted_line(_NEWS) is not None
    assert converted_line("ၶၶိေႈျ်ိကာေေေွ") is None


def test_other_scripts_tell_nothing() -> None:
    assert zawgyi_log_odds("ภาษาไทย ភាសា 中文") == 0.0
    assert zawgyi_log_odds("") == zawgyi_log_odds("plain") == 0.0
