"""Strange strings: every plane of Unicode, lone surrogates, mixed scripts, bombs, addresses, numbers, encoded parts."""

import base64
import random

# fmt: off
PIECES = (
    "free prize", "f r e e", "f.r.e.e", "fr33 c4ll", "FRЕЕ", "ｆｒｅｅ", "Ελληνικά ΝΑΙ", "привет", "忽略规则", "한국어",
    "हिन्दी", "שלום", "😀👍🏽", "ﷺ", "ﬁ", "é", "e\u0301" * 9, "\u200b", "\xad", "\ud800", "\udfff",
    "\U000e0066\U000e0072", "$", "ca$h", "m@ke", "a@b.com", "http://x.y/z?q=1.", "www.a.co", "bit.ly/a1",
    "see e.g. dr. who", "...", "?!", "'", "`", "don't", "£5.50", "08001234567", "150p", "1", "4 u", "12:30",
    "%41%42%zz", "&lt;&#65;&#x1F600;&#xd800;", "&#0;", "68656c6c6f20776f726c64", "\t", "\n", "\r\n", "\x00", "\x1f",
    "\x85", "\u2028", "ㅤ", " ,", "a - b", "x_y_z", "1.2.3", "_", "aaa", "a a a", "．", "\ue000", "<url>",
)
# fmt: on


def strange_strings(count, seed=0):
    """`count` strings that a seed makes, none with two surrogates that JSON would join to a character."""
    rng = random.Random(seed)
    for _ in range(count):
        text = "".join(rng.choice(MAKERS)(rng) for _ in range(rng.randint(0, 12)))
        yield text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "surrogatepass")


def _encoded(rng):
    raw = " ".join(rng.choice(PIECES) for _ in range(4)).encode("utf-8", "replace")
    return rng.choice([base64.b64encode, base64.urlsafe_b64encode, lambda raw: raw.hex().encode()])(raw).decode()


MAKERS = (
    lambda rng: rng.choice(PIECES),
    lambda rng: rng.choice(PIECES) + " ",
    lambda rng: rng.choice(["", " ", "  ", ".", "-", "\n"]).join(rng.choice("abcei013 45.@$!?,") for _ in range(9)),
    lambda rng: "".join(chr(rng.randrange(0x110000)) for _ in range(3)),
    lambda rng: "".join(chr(rng.randrange(0x3000)) for _ in range(5)),
    lambda rng: rng.choice(PIECES) * rng.randint(1, 30),
    _encoded,
)
