import json

from seallm.vocab.base_tokenizer import parse_bpe
from seallm.vocab.reference import ReferenceBpe
from tests.vocab.tiny import sentencepiece_json


def test_a_worked_example() -> None:
    """hug, pug, hugs with the merges of the textbook, and a character that only bytes can spell."""
    document = json.loads(sentencepiece_json())
    pieces = ["<unk>", *(f"<0x{byte:02X}>" for byte in range(256)), *"▁hugps", "ug", "hug", "▁hug"]
    merges = [["u", "g"], ["h", "ug"], ["▁", "hug"]]
    vocabulary = {piece: number for number, piece in enumerate(pieces)}
    document |= {"model": {**document["model"], "vocab": vocabulary, "merges": merges}, "added_tokens": []}
    encode = ReferenceBpe(parse_bpe(document, "base")).encode
    assert [pieces[i] for i in encode("hugs pug")] == ["▁hug", "s", "▁", "p", "ug"]
    assert [pieces[i] for i in encode("ก")] == ["▁", "<0xE0>", "<0xB8>", "<0x81>"]
