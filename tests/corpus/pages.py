"""Small inputs of the corpus stage, made of literal data: WARC records, articles in several languages."""

import gzip

ARTICLES = {
    "en": "The river rises in the northern hills and flows through the old town, where the market is held every "
    "morning. Farmers bring rice, fruit and fish, and the boats that carry them have been built by the same "
    "families for more than a hundred years. In the rainy season the water reaches the first step of the temple.",
    "vi": "Con sông bắt nguồn từ vùng đồi phía bắc và chảy qua thị trấn cổ, nơi chợ họp vào mỗi buổi sáng. Nông dân "
    "mang gạo, trái cây và cá đến, còn những chiếc thuyền chở họ đã được các gia đình trong làng đóng từ hơn "
    "một trăm năm nay. Vào mùa mưa, nước dâng đến bậc thềm đầu tiên của ngôi chùa.",
    "id": "Sungai itu berhulu di perbukitan utara dan mengalir melalui kota tua, tempat pasar diadakan setiap pagi. "
    "Para petani membawa beras, buah, dan ikan, karena perahu yang mereka pakai bisa dibuat oleh keluarga yang "
    "sama sejak lebih dari seratus tahun. Pada musim hujan air mencapai anak tangga pertama kuil.",
    "ms": "Sungai itu berpunca di kawasan perbukitan utara dan mengalir melalui bandar lama, tempat pasar diadakan "
    "pada setiap pagi. Para petani membawa beras, buah dan ikan kerana perahu mereka boleh dibina oleh keluarga "
    "yang sama iaitu sejak lebih seratus tahun. Pada musim hujan air sampai ke anak tangga pertama rumah ibadat.",
    "tl": "Ang ilog ay nagmumula sa mga burol sa hilaga at dumadaloy sa lumang bayan, kung saan may palengke "
    "tuwing umaga. Nagdadala ang mga magsasaka ng bigas, prutas at isda, at ang mga bangka nila ay gawa ng iisang "
    "pamilya sa loob ng mahigit isang daang taon. Kapag tag-ulan, umaabot ang tubig sa unang baitang ng simbahan.",
    "th": "แม่น้ำสายนี้มีต้นกำเนิดจากเนินเขาทางเหนือและไหลผ่านเมืองเก่าซึ่งมีตลาดทุกเช้า ชาวนานำข้าว ผลไม้ และปลามาขาย "
    "ส่วนเรือที่ใช้ขนของนั้นสร้างโดยครอบครัวเดียวกันมานานกว่าร้อยปี เมื่อถึงฤดูฝนน้ำจะขึ้นถึงบันไดขั้นแรกของวัด",
    "lo": "ແມ່ນ້ຳສາຍນີ້ໄຫຼມາຈາກເນີນພູທາງເໜືອ ແລະ ໄຫຼຜ່ານເມືອງເກົ່າ ບ່ອນທີ່ມີຕະຫຼາດທຸກເຊົ້າ ຊາວນາເອົາເຂົ້າ ໝາກໄມ້ ແລະ ປາມາຂາຍ "
    "ສ່ວນເຮືອທີ່ໃຊ້ຂົນສົ່ງນັ້ນ ສ້າງໂດຍຄອບຄົວດຽວກັນມາດົນກວ່າຮ້ອຍປີ ໃນລະດູຝົນນ້ຳຈະຂຶ້ນເຖິງຂັ້ນໄດທຳອິດຂອງວັດ",
    "km": "ទន្លេនេះមានប្រភពពីតំបន់ភ្នំខាងជើង ហើយហូរកាត់ទីក្រុងចាស់ ដែលមានផ្សាររាល់ព្រឹក។ កសិករយកស្រូវ ផ្លែឈើ និងត្រីមកលក់ "
    "ហើយទូកដែលដឹកពួកគេត្រូវបានសាងសង់ដោយគ្រួសារតែមួយ អស់រយៈពេលជាងមួយរយឆ្នាំ។ នៅរដូវវស្សា ទឹកឡើងដល់ជណ្ដើរទីមួយនៃវត្ត។",
    "my": "ဒီမြစ်ဟာ မြောက်ဘက်တောင်ကုန်းတွေက စီးဆင်းလာပြီး မနက်တိုင်း ဈေးရှိတဲ့ မြို့ဟောင်းကို ဖြတ်သန်းသွားပါတယ်။ "
    "လယ်သမားတွေက ဆန်၊ သစ်သီးနဲ့ ငါးတွေကို ယူလာကြပြီး သူတို့စီးတဲ့ လှေတွေကို မိသားစုတစ်စုတည်းက နှစ်ပေါင်းတစ်ရာကျော် "
    "တည်ဆောက်ခဲ့ပါတယ်။ မိုးရာသီမှာ ရေဟာ ဘုရားကျောင်းရဲ့ ပထမလှေကားထစ်အထိ ရောက်ပါတယ်။",
    "zh": "这条河发源于北部的丘陵，流经每天早晨都有集市的古镇。农民带来大米、水果和鱼，"
    "而运送他们的小船，一百多年来一直由同一个家族建造。"
    "到了雨季，河水会涨到寺庙的第一级台阶。镇上的老人说，他们小时候常在岸边看船来船往。",
}
FOREIGN = {
    "fr": "La rivière prend sa source dans les collines du nord et traverse la vieille ville, où le marché se tient "
    "chaque matin. Les paysans y apportent du riz, des fruits et du poisson, et leurs bateaux sont construits par les "
    "mêmes familles depuis plus de cent ans.",
    "ja": "この川は北の丘陵に源を発し、毎朝市の立つ古い町を流れています。"
    "農民たちは米や果物や魚を運び、その舟は百年以上も同じ家族によって造られてきました。",
    "ru": "Река берёт начало в северных холмах и течёт через старый город, где каждое утро бывает рынок. Крестьяне "
    "привозят рис, фрукты и рыбу, а лодки уже более ста лет строят одни и те же семьи.",
}


def make_page(text: str) -> bytes:
    """An article in its frame."""
    paragraphs = "".join(f"<p>{line}</p>" for line in text.split("\n"))
    links = "".join(f'<li><a href="/{n}">Page {n}</a></li>' for n in range(9))
    return (
        f'<!doctype html><html><head><meta charset="utf-8"></head><body><nav><ul>{links}</ul></nav>'
        f"<main><article>{paragraphs}</article></main><footer>All rights reserved</footer></body></html>"
    ).encode()


def warc_record(
    url: str,
    body: bytes,
    *,
    kind: str = "response",
    status: str = "200 OK",
    content_type: str = "text/html; charset=utf-8",
    more: str = "",
) -> bytes:
    """One WARC record, not packed."""
    http = f"HTTP/1.1 {status}\r\nContent-Type: {content_type}\r\n{more}\r\n".encode() if kind == "response" else b""
    inner = "application/http; msgtype=response" if kind == "response" else content_type
    head = (
        f"WARC/1.0\r\nWARC-Type: {kind}\r\nWARC-Target-URI: {url}\r\nWARC-Record-ID: <urn:uuid:{url}>\r\n"
        f"Content-Type: {inner}\r\nContent-Length: {len(http) + len(body)}\r\n\r\n"
    )
    return head.encode() + http + body + b"\r\n\r\n"


def pack(*records: bytes) -> bytes:
    """Gzip members, one a record."""
    return b"".join(gzip.compress(record, mtime=0) for record in records)
