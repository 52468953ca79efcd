"""Data sets with one sensitive class: built-in, published and your own tables."""

from asymcert.datasets.augment import Augmentation
from asymcert.datasets.binary import BinaryData, Split
from asymcert.datasets.image_folders import load_image_folder
from asymcert.datasets.load import load, load_rows, load_source, names
from asymcert.datasets.many import ManyClasses, load_many
from asymcert.datasets.source import DataSource
from asymcert.datasets.tables import load_table

__all__ = [
    "Augmentation",
    "BinaryData",
    "DataSource",
    "ManyClasses",
    "Split",
    "load",
    "load_image_folder",
    "load_many",
    "load_rows",
    "load_source",
    "load_table",
    "names",
]
