"""Where data came from, in a form that fits into JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from asymcert._checks import check_types, refuse
from asymcert.datasets.table_options import TableOptions

TABLE_OPTIONS = (*(item.name for item in fields(TableOptions)), "test", "max_bytes")
IMAGE_OPTIONS = ("image_size", "harmless")
FIRST = {"clean": False, "ragged": "fill", "words": 1024, "text": None}  # by which tables without these were read


@dataclass(frozen=True)
class DataSource:
    """A description from which the same data can be loaded again.

    Parameters
    ----------
    name
        A name that `load` knows, or the path of a table file or of a folder of images.
    sensitive
        The sensitive class, or for tables several, by name; None for the data set's own choice or, for tables, for all
        that are not ``harmless``.
    seed
        Seed of the splits.
    options
        Empty for named data sets; for a table the other arguments of `load_table`, for a folder of images those of
        `load_image_folder`.

    Raises
    ------
    InputError
        An option that `load_table` does not have, or a table without ``label`` or without ``sensitive`` and
        ``harmless``.
    """

    name: str
    sensitive: str | Sequence[str] | None = None
    seed: int = 0
    options: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        known = IMAGE_OPTIONS if self.is_image_folder else TABLE_OPTIONS
        unknown = sorted(set(self.options) - set(known))
        if unknown:
            raise refuse("options", f"made of {list(known)}", f"unknown {unknown}")
        classes = self.sensitive is not None or self.options.get("harmless")
        if self.options and (not ("label" in self.options or self.is_image_folder) or not classes):
            raise refuse("options", "complete for a table", "no 'label', or no `sensitive`", "Name both.")

    @property
    def is_table(self) -> bool:
        """Whether `name` is the path of a table file."""
        return bool(self.options) and not self.is_image_folder

    @property
    def is_image_folder(self) -> bool:
        """Whether `name` is the path of a folder of images."""
        return "image_size" in self.options

    def to_dict(self) -> dict[str, Any]:
        """JSON-able form."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> DataSource:
        """Read what `to_dict` gave; other keys, or values of other types, are refused with an `InputError`."""
        known = {f.name for f in fields(cls)}
        if not isinstance(values, Mapping) or set(values) != known:
            got = sorted(values) if isinstance(values, Mapping) else type(values).__name__
            raise refuse("source", f"a dictionary with the keys {sorted(known)}", got)
        check_types(cls, values)
        return cls(**values)
