"""Names of classes and of pairs of them."""

from __future__ import annotations

from collections.abc import Sequence

from asymcert._checks import did_you_mean, refuse
from asymcert.errors import InputError

_DIGITS = tuple(str(i) for i in range(10))
CLASSES: dict[str, tuple[str, ...]] = {
    "digits": _DIGITS,
    "mnist": _DIGITS,
    "fashion": (
        "T-shirt/top",
        "Trouser",
        "Pullover",
        "Dress",
        "Coat",
        "Sandal",
        "Shirt",
        "Sneaker",
        "Bag",
        "Ankle boot",
    ),
    "cifar10": ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"),
}
ALIASES = {"fashion-shirts": "fashion-0-6", "cifar10-cats-dogs": "cifar10-cat-dog"}
EXAMPLES = (
    ("digits-3-8", "8x8 digits that ship with scikit-learn: 3 (sensitive) against 8; any digits-A-B"),
    ("breast-cancer", "table that ships with scikit-learn: malignant (sensitive) against benign"),
    ("mnist-3-8", "MNIST: 3 (sensitive) against 8; any mnist-A-B"),
    ("fashion-shirts", "Fashion-MNIST: T-shirt/top (sensitive) against Shirt; any fashion-A-B"),
    ("cifar10-cats-dogs", "CIFAR-10: cat (sensitive) against dog; any cifar10-A-B, by number or name"),
    ("malimg", "malware as images: other families (sensitive) against as many of Allaple.A"),
)


def parse_pair(name: str) -> tuple[str, int, int]:
    """Family and class numbers of a name such as ``mnist-3-8`` or ``cifar10-cat-dog``.

    Raises
    ------
    InputError
        An unknown family or class, or twice the same class.
    """
    family, *parts = ALIASES.get(name, name).split("-")
    if family not in CLASSES or len(parts) != 2:
        raise unknown_name(name)
    first, second = (_class_number(name, family, part) for part in parts)
    if first == second:
        raise refuse("name", "a pair of different classes", repr(name))
    return family, first, second


def is_known(name: str) -> bool:
    """Whether a data set has this name."""
    try:
        return name in dict(EXAMPLES) or bool(parse_pair(name))
    except InputError:
        return False


def unknown_name(name: object) -> Exception:
    """Return the error for a name that nothing answers to."""
    known = [example for example, _ in EXAMPLES]
    remedy = did_you_mean(name, known, 0.5) or "Only `asymcert train` takes a table's file; in Python, load_table."
    return refuse("name", f"a data set such as {', '.join(known)}", repr(name), remedy)


def _class_number(name: str, family: str, part: str) -> int:
    classes = CLASSES[family]
    slugs = [_slug(c) for c in classes]
    if part.isdecimal() and int(part) < len(classes):
        return int(part)
    if _slug(part) in slugs:
        return slugs.index(_slug(part))
    listed = ", ".join(f"{i} {c}" if c != str(i) else c for i, c in enumerate(classes))
    raise refuse("name", f"{family}-A-B with classes from: {listed}", repr(name), did_you_mean(_slug(part), slugs))


def _slug(text: str) -> str:
    return "".join(c for c in text.lower() if c.isalnum())


def is_first_sensitive(sensitive: object, names: Sequence[str], labels: Sequence[int] = ()) -> bool:
    """Whether the first of two classes is the sensitive one: by default, or chosen by name or label.

    Raises
    ------
    InputError
        `sensitive` is neither class.
    """
    if sensitive is None:
        return True
    wanted = str(sensitive).lower()
    for i, name in enumerate(names):
        if wanted == name.lower() or (labels and wanted == str(labels[i])):
            return i == 0
    raise refuse("sensitive", f"'{names[0]}' or '{names[1]}'", repr(sensitive))
