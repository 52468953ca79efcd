"""Short names of methods and threat models, told apart no more than is needed."""

from __future__ import annotations

from collections.abc import Sequence

COLUMNS = "columns"  # what people call norm 0: how many of them change


def method_labels(series: Sequence[tuple[str, str]]) -> list[str]:
    """Names for (method, options) pairs: the options only where they tell two of the pairs apart.

    That rounding errors were ignored is always said.

    Examples
    --------
    >>> method_labels([("refined", "sound=True, cuts=8"), ("closed-form", "sound=False")])
    ['refined', 'closed-form (rounding ignored)']
    >>> method_labels([("refined", "sound=True, cuts=8"), ("refined", "sound=True, cuts=4")])
    ['refined (cuts=8)', 'refined (cuts=4)']
    """
    labels = []
    for method, options in series:
        settings = options.split(", ")
        same = [other.split(", ") for name, other in series if name == method]
        shown = ["rounding ignored"] if "sound=False" in settings else []
        shown += [item for item in settings if _differs(item, same) and not item.startswith("sound=")]
        labels.append(f"{method} ({', '.join(shown)})" if shown else method)
    return labels


def threat_labels(keys: Sequence[str]) -> list[str]:
    """Names for threat keys: without the digest where that does not confuse two of them; ``columns`` for norm 0.

    Examples
    --------
    >>> threat_labels(["l1 spammer #12345678", "l1 box[0,1]"])
    ['l1 spammer', 'l1 box[0,1]']
    >>> threat_labels(["l1 cost #12345678", "l1 cost #abcdef01"])
    ['l1 cost #12345678', 'l1 cost #abcdef01']
    >>> threat_labels(["l0 box[0,1] groups #12345678"])
    ['columns box[0,1]']
    """
    named = {key: COLUMNS + key[2:].replace(" groups", "") if key.partition(" ")[0] == "l0" else key for key in keys}
    short = {key: name.partition(" #")[0] for key, name in named.items()}
    uses = list(short.values())
    return [short[key] if uses.count(short[key]) == 1 else named[key] for key in keys]


def _differs(item: str, settings: list[list[str]]) -> bool:
    return any(item not in other for other in settings)
