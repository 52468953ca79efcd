"""Is this machine fit for certificates? One line for each check, and an exit code for programs."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import re
import sys
import tempfile
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
import typer
from packaging.requirements import Requirement

from asymcert._floats import full_precision
from asymcert._version import __version__
from asymcert.cli import show
from asymcert.cli.parameters import Json
from asymcert.datasets.files import ENVIRONMENT, cache_root
from asymcert.datasets.images import complete_sets

OK, NOTE, WRONG = "ok", "note", "wrong"
OLDEST = (3, 11)
HARD = ("asymcert", "torch", "numpy")  # named even where nothing is to be said of them
FORCED = {  # variables that make products coarse whatever a program asks for: their values that do not
    "NVIDIA_TF32_OVERRIDE": ("", "0"),
    "ONEDNN_DEFAULT_FPMATH_MODE": ("", "STRICT"),
    "TORCH_ALLOW_TF32_CUBLAS_OVERRIDE": ("", "0"),
}
SIDE = 64  # of the matrices and images that are multiplied to see how
UNIT = 2.0**-24  # unit roundoff of float32
COARSE = "Commands and estimators switch it off while they compute; call no other part of a model for verdicts."


@dataclass(frozen=True)
class Check:
    """What was looked at, how it is (``ok``, ``note`` or ``wrong``), what was found, and what to do about it."""

    name: str
    state: str
    found: str
    remedy: str = ""


def doctor(as_json: Json = False) -> None:
    """Look at the machine: versions, threads, modes that make products coarse, places to write, data.

    The exit code is 1 if something is wrong, 0 if not.

    Examples: asymcert doctor · asymcert doctor --json
    """
    checks = list(examined())
    healthy = all(check.state != WRONG for check in checks)
    if as_json:
        facts = {"schema": "asymcert.doctor", "version": 1, "healthy": healthy}
        show.result({**facts, "checks": [asdict(check) for check in checks]}, as_json)
    else:
        width = max(len(check.name) for check in checks)
        for check in checks:
            print(f"{check.state:<5}  {check.name:<{width}}  {' '.join(filter(None, (check.found, check.remedy)))}")
    raise typer.Exit(0 if healthy else 1)


def examined() -> Iterator[Check]:
    """All checks, in the order that they are shown in."""
    yield check_python()
    yield from check_libraries()
    yield check_threads()
    yield from check_variables()
    for device in ("cpu", *(f"cuda:{place}" for place in range(torch.cuda.device_count()))):
        yield check_precision(torch.device(device))
    yield check_folder("working folder", Path.cwd(), "Runs go there unless --out says otherwise: change the folder.")
    yield check_folder("temporary files", Path(tempfile.gettempdir()), "Set TMPDIR to a folder that can be written.")
    yield check_data()


def check_python() -> Check:
    """Python's version."""
    state = OK if sys.version_info >= OLDEST else WRONG
    return Check("python", state, platform.python_version(), "" if state == OK else "Use Python 3.11 or later.")


def check_libraries() -> Iterator[Check]:
    """Each declared library that is missing or too old, by what needs it."""
    yield Check("asymcert", OK, __version__)
    missing: dict[str, list[str]] = {}
    for requirement in declared():
        extra = extra_of(requirement)
        version = installed(requirement.name)
        if version is None and extra:
            missing.setdefault(extra, []).append(requirement.name)
        elif version is None:
            yield Check(requirement.name, WRONG, "missing.", installing(requirement))
        elif not requirement.specifier.contains(version, prereleases=True):
            state, found = NOTE if extra else WRONG, f"{version} is not {requirement.specifier}."
            yield Check(requirement.name, state, found, installing(requirement))
        elif requirement.name in HARD:
            yield Check(requirement.name, OK, version)
    for extra, names in missing.items():
        yield Check(f"extra {extra}", NOTE, f"without {', '.join(names)}.", f"Run pip install 'asymcert[{extra}]'.")


def declared() -> Iterator[Requirement]:
    """What the installed package says that it needs, without its extras for developers."""
    try:
        lines = importlib.metadata.requires("asymcert") or []
    except importlib.metadata.PackageNotFoundError:  # run from a checkout
        lines = []
    for requirement in map(Requirement, lines):
        if requirement.name != "asymcert" and extra_of(requirement) not in ("test", "dev", "docs"):
            yield requirement


def installing(requirement: Requirement) -> str:
    """The remedy for a library that is missing or too old."""
    return f"Run pip install '{requirement.name}{requirement.specifier}'."


def extra_of(requirement: Requirement) -> str:
    """The extra that a requirement belongs to; empty for those that are always needed."""
    match = re.search(r"extra == [\"'](\w+)[\"']", str(requirement.marker))
    return match[1] if match else ""


def installed(name: str) -> str | None:
    """Version of an installed library."""
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def check_threads() -> Check:
    """Threads of PyTorch against the cores that this process may use."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    threads = torch.get_num_threads()
    found = f"{threads} of PyTorch on {cores} cores"
    if threads <= cores:
        return Check("threads", OK, found)
    return Check("threads", NOTE, f"{found}: slower than fewer.", f"Set OMP_NUM_THREADS={cores}.")


def check_variables() -> Iterator[Check]:
    """Variables of the environment that make products coarse, whatever a program asks for."""
    for name, harmless in FORCED.items():
        value = os.environ.get(name, "")
        if value.upper() not in harmless:
            yield Check(name, WRONG, f"is {value}: products may be coarser than certificates assume.", f"Unset {name}.")


def check_precision(device: torch.device) -> Check:
    """Whether float32 products are as exact as certificates assume: while the package computes, and outside of that."""
    name = f"precision {device}"
    about = "float32" if device.type == "cpu" else torch.cuda.get_device_name(device)
    if not exact_products(device, guarded=True):
        remedy = "Certificates do not hold for models that run here. Use another device or another build of PyTorch."
        return Check(name, WRONG, f"{about}: products are coarser than float32 even when asked.", remedy)
    if not exact_products(device, guarded=False):
        return Check(name, NOTE, f"{about}: TF32 or bfloat16 products are allowed.", COARSE)
    return Check(name, OK, about)


def exact_products(device: torch.device, guarded: bool) -> bool:
    """Whether a product of matrices and a convolution on a device err by no more than float32 does."""
    draw = torch.Generator().manual_seed(0)
    a, b = (1.0 + torch.rand(SIDE, SIDE, generator=draw) for _ in range(2))
    image, kernel = a[None, None], b[None, None, :3, :3].contiguous()
    with torch.no_grad(), full_precision(device) if guarded else nullcontext():
        product = a.to(device) @ b.to(device)
        convolved = torch.nn.functional.conv2d(image.to(device), kernel.to(device))
    pairs = (
        (product, a.double() @ b.double(), SIDE),
        (convolved, torch.nn.functional.conv2d(image.double(), kernel.double()), kernel.numel()),
    )
    return all(bool(((got.cpu().double() / true - 1).abs() <= 2 * n * UNIT).all()) for got, true, n in pairs)


def check_folder(name: str, folder: Path, remedy: str) -> Check:
    """Whether files can be written in a folder."""
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        return Check(name, WRONG, f"{folder}: {error.strerror}.", remedy)
    return Check(name, OK, str(folder))


def check_data() -> Check:
    """Which published data are found, and where it was looked for."""
    named = os.environ.get(ENVIRONMENT)
    if named and not Path(named).is_dir():
        return Check(
            "data", WRONG, f"{ENVIRONMENT} names {named}, which is no folder.", f"Correct or unset {ENVIRONMENT}."
        )
    found = complete_sets()
    if found:
        return Check("data", OK, ", ".join(found))
    place = f"{ENVIRONMENT} or {cache_root()}"
    return Check(
        "data", NOTE, f"no published images in {place}.", "They are downloaded when asked for; tables need none."
    )
