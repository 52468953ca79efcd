"""The one schema of evaluation results: a row is one sample under one threat model."""

from __future__ import annotations

import hashlib
import io
import json
import math
from dataclasses import dataclass, fields, is_dataclass

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray
from torch import Tensor

from asymcert._checks import refuse
from asymcert._version import __version__
from asymcert.certify import Certificate, Certifier
from asymcert.errors import InputError
from asymcert.threats.model import COUNTED, ThreatModel

SCHEMA = pl.Schema(
    {
        "index": pl.Int64,  # position in the split
        "label": pl.Boolean,  # True: the sample is sensitive
        "prediction": pl.Boolean,  # True: the verdict is sensitive
        "abstained": pl.Boolean,  # True: no verdict was given, which counts as wrong; prediction is then False
        "margin": pl.Float64,  # score minus threshold
        "norm": pl.Float64,  # p of the threat model; 0 where columns are counted
        "radius": pl.Float64,  # in the units of ThreatModel.size; see `ruled_out` for the changes that it rules out
        "upper": pl.Float64,  # size of a known change that undoes the verdict; inf where none is known
        "slope": pl.Float64,  # bound on the margin's fall per unit of size; NaN where the method has none
        "method": pl.String,  # of certification
        "options": pl.String,  # of the method, as options_text gives them
        "threat": pl.String,  # threat_key
        "split": pl.String,  # train, val or test
        "model_digest": pl.String,  # SHA-256 of the model
        "data_digest": pl.String,  # SHA-256 of the data
        "seed": pl.Int64,  # of split and training
        "version": pl.String,  # of asymcert
        "seconds": pl.Float64,  # time of the certification call, shared out over its samples
    }
)
MOST_ROWS = 500_000  # of a file
SERIES = (
    "model_digest",
    "data_digest",
    "split",
    "method",
    "options",
    "threat",
)  # what identifies one certified-accuracy curve
KEY = (*SERIES, "index")

GALLERY_SCHEMA = pl.Schema(
    {
        **{name: SCHEMA[name] for name in SERIES},
        "samples": pl.Int64,  # number of certified samples that the choice was made from
        "index": pl.Int64,
        "norm": pl.Float64,
        "radius": pl.Float64,
        "group": pl.String,  # least or most
        "rank": pl.Int64,  # 0 is the least or the most robust
        "shape": pl.List(pl.Int64),  # of the image: channels, height, width
        "pixels": pl.List(pl.Float32),  # of it, row by row
    }
)
AUDIT_SCHEMA = pl.Schema(
    {
        **{name: SCHEMA[name] for name in SERIES},
        "index": pl.Int64,
        "norm": pl.Float64,
        "attack": pl.String,  # its name
        "fraction": pl.Float64,  # of the radius: the attack's budget, 1 for all that is ruled out; above 1, of `upper`
        "radius": pl.Float64,
        "size": pl.Float64,  # of the best change found, at most its budget
        "margin": pl.Float64,  # after that change
        "success": pl.Boolean,  # True: the certificate is broken, inside the radius or beyond the upper bound
        "seed": pl.Int64,
        "version": pl.String,
    }
)
TEXT_SCHEMA = pl.Schema(
    {
        **AUDIT_SCHEMA,  # fraction inf: the budget went beyond the radius
        "attempts": pl.Int64,  # texts that were scored
        "text": pl.String,  # changed, whose verdict is not sensitive; empty where none was found
        "edits": pl.String,  # that make it, in words
    }
)
ALERT_KEY = ("model_digest", "data_digest", "split", "index")
ALERT_SCHEMA = pl.Schema(
    {
        **{name: SCHEMA[name] for name in ALERT_KEY},
        "text": pl.String,  # its beginning
        "words": pl.List(pl.String),  # that carry the verdict, the greatest share first
        "shares": pl.List(pl.Float64),  # of the margin
    }
)
POINT_SCHEMA = pl.Schema(
    {
        **{name: SCHEMA[name] for name in ("model_digest", "data_digest", "split")},
        "max_fpr": pl.Float64,  # rate of false alarms on the split that the threshold keeps to
        "threshold": pl.Float64,  # of the model there
        "at": pl.String,  # digest of the model there, which its rows carry
    }
)


@dataclass(frozen=True)
class Origin:
    """Where rows come from: the columns that are the same for all samples of one evaluation."""

    split: str
    model_digest: str
    data_digest: str
    seed: int
    options: str = ""


def options_text(certifier: Certifier) -> str:
    """Settings of a certifier that its radii depend on, such as ``sound=True, cuts=8``.

    The number of processes is left out: it changes the time, not the radii.

    Examples
    --------
    >>> from asymcert.certify import ClosedForm
    >>> options_text(ClosedForm())
    'sound=True'
    """
    names = [item.name for item in fields(certifier)] if is_dataclass(certifier) else []
    ordered = sorted(names, key=lambda name: name != "sound")  # stable: sound first
    return ", ".join(f"{name}={getattr(certifier, name)}" for name in ordered if name != "workers")


def threat_key(threat: ThreatModel) -> str:
    """Text that tells threat models apart: `ThreatModel.describe`, and a digest where that leaves values out.

    Two cost vectors have the same description but not the same radii, so their rows must not be mixed.

    Examples
    --------
    >>> threat_key(ThreatModel(norm=1, lower=0, upper=1))
    'l1 box[0,1]'
    """
    parts = {name: getattr(threat, name) for name in ("lower", "upper", "cost", "mutable", "direction", *COUNTED)}
    hidden = {name: part for name, part in parts.items() if isinstance(part, Tensor) and not _is_printed(threat, part)}
    told = threat.limits is None and (threat.edits is None or threat.edits.described)
    if not hidden and threat.name is None and told:
        return threat.describe()
    digest = hashlib.sha256()
    for name, part in hidden.items():
        value = part.detach().cpu().contiguous()
        digest.update(f"{name} {value.dtype} {tuple(value.shape)}".encode())
        digest.update(value.numpy().tobytes())
    if threat.limits is not None:
        digest.update(json.dumps(threat.limits.to_dict()).encode())
    if threat.edits is not None:
        digest.update(json.dumps(threat.edits.to_dict()).encode())
    return f"{threat.describe()} #{digest.hexdigest()[:8]}"


def make_rows(certificate: Certificate, index: Tensor, label: Tensor, origin: Origin, seconds: float) -> pl.DataFrame:
    """Rows of one certificate.

    Parameters
    ----------
    certificate
        Of n samples.
    index
        Int64 (n,): their positions in the split.
    label
        Bool (n,): True where the sample is sensitive.
    origin
        Model, data, seed and the method's options.
    seconds
        Time of the certification call divided by its number of samples.

    Returns
    -------
    polars.DataFrame
        n rows in `SCHEMA`.

    Raises
    ------
    InputError
        `index` or `label` are not of shape (n,), or the labels are not boolean.
    """
    for name, values, dtype in (("index", index, torch.int64), ("label", label, torch.bool)):
        if tuple(values.shape) != (len(certificate),) or values.dtype != dtype:
            raise refuse(name, f"{dtype} of shape ({len(certificate)},)", f"{values.dtype} {tuple(values.shape)}")
    given = certificate.sensitive
    columns = {
        "index": index,
        "label": label,
        "prediction": given,
        "abstained": torch.zeros_like(given) if certificate.abstained is None else certificate.abstained,
        "margin": certificate.margin.double(),
        "radius": certificate.radius,
        "upper": torch.full_like(certificate.radius, math.inf) if certificate.upper is None else certificate.upper,
        "slope": certificate.slope.double(),
    }
    constants = {
        **vars(origin),
        "norm": float(certificate.threat.norm),
        "method": certificate.method,
        "threat": threat_key(certificate.threat),
        "version": __version__,
        "seconds": float(seconds),
    }
    frame = pl.DataFrame({name: value.detach().cpu().numpy() for name, value in columns.items()})
    literals = [pl.lit(value, dtype=SCHEMA[name]).alias(name) for name, value in constants.items()]
    return check_rows(frame.with_columns(literals).select(list(SCHEMA)))


def check_rows(rows: pl.DataFrame) -> pl.DataFrame:
    """Return `rows` if they are evaluation rows.

    Raises
    ------
    InputError
        Columns or types differ from `SCHEMA`, a value is missing, or a radius is NaN, negative, positive for a
        verdict that is not sensitive, or greater than the size of a change that is known to undo the verdict.
    """
    check_schema("rows", rows, SCHEMA)
    radius = pl.col("radius")
    broken = rows.filter(radius.is_nan() | (radius < 0) | (~pl.col("prediction") & (radius > 0)))
    if not broken.is_empty():
        first = broken.row(0, named=True)
        got = f"{first['radius']} for sample {first['index']} (prediction {first['prediction']})"
        raise refuse("radius", "nonnegative, and 0 where the verdict is not sensitive", got)
    contradicted = rows.filter(pl.col("upper").is_nan() | (pl.col("radius") > pl.col("upper")))
    if not contradicted.is_empty():
        first = contradicted.row(0, named=True)
        got = f"{first['radius']} with upper {first['upper']} for sample {first['index']}"
        raise refuse("radius", "at most `upper`", got, "The certifier is at fault.")
    return rows


def check_gallery(rows: pl.DataFrame) -> None:
    """Refuse what is no gallery: columns of another type, or pixels that do not make an image of their shape."""
    check_schema("rows", rows, GALLERY_SCHEMA)
    shape, count = pl.col("shape"), pl.col("pixels").list.len()
    size = shape.list.eval(pl.element().product()).list.first()
    fits = (shape.list.len() == 3) & (shape.list.min() > 0) & (shape.list.max() <= count) & (size == count)
    if not rows.select(fits.all()).item():
        raise refuse("pixels", "as many as `shape` says, (C, H, W)", "another number")


def parse_parquet(content: bytes) -> pl.DataFrame:
    """The rows of a Parquet file that anybody may have made: few bytes can stand for any number of rows.

    Raises
    ------
    InputError
        It is none, or has more than `MOST_ROWS` rows.
    """
    try:
        count = pl.scan_parquet(io.BytesIO(content)).select(pl.len()).collect().item()
        if count > MOST_ROWS:
            raise refuse("rows", f"at most {MOST_ROWS}", count)
        return pl.read_parquet(io.BytesIO(content))
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
        reason = str(error).partition("\n")[0]
        raise refuse("file", "Parquet", f"something else ({reason})") from error


def check_schema(name: str, frame: pl.DataFrame, schema: pl.Schema) -> None:
    """Refuse a frame whose columns, order, types or missing values differ from `schema`."""
    if frame.schema != schema:
        got = {column: dtype for column, dtype in frame.schema.items() if schema.get(column) != dtype}
        absent = [column for column in schema if column not in frame.schema]
        wrong = f"unexpected or mistyped {got}, absent {absent}" if got or absent else "the columns in another order"
        raise refuse(name, "a frame with the columns and types of its schema", wrong)
    missing = [column.name for column in frame.null_count().iter_columns() if column.item() > 0] if len(frame) else []
    if missing:
        raise refuse(name, "without missing values", f"nulls in {missing}")


def one_series(rows: pl.DataFrame) -> pl.DataFrame:
    """Return checked `rows` if all belong to one curve: one model, split, method and threat model, each sample once.

    Raises
    ------
    InputError
        The rows mix several curves or repeat a sample.
    """
    check_rows(rows)
    mixed = [name for name in SERIES if rows[name].n_unique() > 1]
    if mixed:
        remedy = "Filter them, or split them with rows.partition_by(SERIES)."
        raise refuse("rows", "of one model, split, method and threat model", f"several values of {mixed}", remedy)
    if rows["index"].n_unique() != len(rows):
        raise InputError("`rows` must hold each sample once, got repeated ones. Remove them with distinct(rows).")
    return rows


def ruled_out(rows: pl.DataFrame) -> NDArray[np.float64]:
    """Sizes (n,) of changes: all *smaller* ones are certified not to undo the verdict; 0 where it is not sensitive.

    The radius; where columns are counted (norm 0), of which changes as large as the radius are ruled out as well, the
    next greater number.
    """
    radius, counted = rows["radius"].to_numpy(), (rows["norm"] == 0).to_numpy()
    sizes = np.where(counted, np.nextafter(radius, np.inf), radius)
    return np.where(rows["prediction"].to_numpy(), sizes, 0.0)


def distinct(rows: pl.DataFrame) -> pl.DataFrame:
    """Each (curve, sample) once, the row recorded first; sorted by `KEY`."""
    return rows.unique(subset=KEY, keep="first", maintain_order=True).sort(KEY)


def _is_printed(threat: ThreatModel, part: Tensor) -> bool:
    """Whether `ThreatModel.describe` shows the exact value of a part."""
    if threat.name is not None or (part is not threat.lower and part is not threat.upper):
        return False
    return part.numel() == 1 and float(f"{float(part):g}") == float(part)
