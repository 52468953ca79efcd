"""The zoo: measure again what each model's card says, or make the models anew.

    python benchmarks/zoo.py DATA_DIR [NAME ...] [--make]

DATA_DIR has the images' folders in it and the tables in ``tables/``. The test data are certified and judged as the
cards' own commands say, the first samples attacked; every figure of the card must come out again, and no attack may
succeed (exit 1). With ``--make`` the models are trained first, as their ``entry.toml`` says, and put into the package.

Last results, 20 minutes on one thread of two shared cores; every figure of every card came out again (balanced
accuracy, AUC, caught at 1 % false alarms, median radii, attacks that succeeded, size; "both" are added and removed):

    cats-dogs-accurate       0.6640 0.7243 0.0580  l1 0.7604 l2 0.3802 linf 0.00708  0 of 819  1.25 MB
    cats-dogs-robust         0.6410 0.6887 0.0620  l1 13.4 l2 0.3764 linf 0.007785  0 of 945  0.83 MB
    fashion-shirts-accurate  0.8355 0.9201 0.2340  l1 0.7917 l2 0.7917 linf 0.02988  0 of 1008  0.86 MB
    fashion-shirts-robust    0.8130 0.8984 0.1810  l1 1.125 l2 1.125 linf 0.04501  0 of 972  0.86 MB
    intrusion                0.7794 0.9340 0.3926  columns 1 l1 0.004292 l2 0.002448 linf 0.001264  0 of 116  0.26 MB
    malware-headers          0.9778 0.9958 0.8787  columns 3 l1 0.1111 l2 0.04191 linf 0.0151  0 of 188  0.33 MB
    mnist-3-8-accurate       0.9899 0.9993 0.9891  l1 1.287 l2 1.287 linf 0.05559  0 of 990  0.66 MB
    mnist-3-8-distance       0.9863 0.9983 0.9861  l1 0.6229 l2 0.6229 linf 0.6229  0 of 990  0.82 MB
    mnist-3-8-robust         0.9737 0.9959 0.9436  l1 1.941 l2 1.941 linf 0.08782  0 of 1017  0.66 MB
    mnist-3-8-union          0.9878 0.9983 0.9871  l1 1.462 l2 1.462 linf 0.5332  0 of 1008  1.45 MB
    spam-mail                0.9527 0.9864 0.7692  columns 4 l1 0.1006 l2 0.02924 linf 0.007216  0 of 144  0.43 MB
    spam-mail-accurate       0.9542 0.9847 0.8104  columns 1 l1 0.04709 l2 0.01587 linf 0.004205  0 of 124  0.60 MB
    spam-sms                 0.9746 0.9968 0.9866  add 88 both 7 all 7 replace 7  0 of 88933  1.02 MB
    spam-sms-monotone        0.9638 0.9929 0.9732  add inf both 7 all 7 replace 7  0 of 99297  1.02 MB
    tumours                  0.9432 0.9762 -  columns 5 l1 1.302 l2 0.3172 linf 0.09395  0 of 204  0.41 MB
"""

from __future__ import annotations

import argparse
import json
import math
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from asymcert.models import zoo

ATTACKED = 200  # samples
KEPT = ("run.json", "model.safetensors", "columns.toml", "card.json", "card.md")
SAME = 1e-6  # relative: other processors sum in another order


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data_dir", type=Path)
    parser.add_argument("names", nargs="*")
    parser.add_argument("--make", action="store_true", help="train the models first")
    arguments = parser.parse_args()
    wrong = 0
    for name in arguments.names or zoo.names():
        start, entry = time.perf_counter(), zoo.entry(name)
        with tempfile.TemporaryDirectory() as folder:
            run = Path(folder) / name
            if arguments.make:
                make(entry, run, arguments.data_dir)
            else:
                zoo.copy(name, run)
            broken = measure(entry, run, arguments.data_dir)
            if arguments.make:
                put(run, entry.folder)
            differing = compared(entry, json.loads((run / "card.json").read_bytes()))
        wrong += len(differing) + broken
        print(line(zoo.entry(name), broken, time.perf_counter() - start), *differing, sep="\n    ", flush=True)
    return 1 if wrong else 0


def make(entry: zoo.Entry, run: Path, data_dir: Path) -> None:
    """As a user would."""
    asymcert(*shlex.split(entry.command), "--out", str(run), data_dir=data_dir)


def put(run: Path, folder: Path) -> None:
    """Copy what the package needs of a run; tables are named without the folders of one machine."""
    for file in KEPT:
        if (run / file).exists():
            shutil.copyfile(run / file, folder / file)
    facts = json.loads((folder / "run.json").read_bytes())
    source, options = facts["source"], facts["source"]["options"]
    source["name"] = Path(source["name"]).name
    if options.get("test"):
        options["test"] = Path(options["test"]).name
    (folder / "run.json").write_text(json.dumps(facts) + "\n", encoding="utf-8")


def measure(entry: zoo.Entry, run: Path, data_dir: Path) -> int:
    """Certify and attack the first samples, certify and judge all, write the card; returns attacks that succeeded."""
    method = ["--method", entry.method] if entry.method else []
    norms = shlex.split(entry.norms)
    asymcert("certify", str(run), *norms, *method, "--limit", str(ATTACKED), "--quiet", data_dir=data_dir)
    told = asymcert("audit", str(run), *norms, "--quiet", "--json", data_dir=data_dir, allowed=(0, 1))
    asymcert("evaluate", str(run), *method, "--quiet", data_dir=data_dir)
    asymcert("card", str(run), data_dir=data_dir)
    return json.loads(told)["successes"]


def asymcert(*command: str, data_dir: Path, allowed: tuple[int, ...] = (0,)) -> str:
    """Run a command beside the tables, so that runs name files without the folders of one machine."""
    environment = os.environ | {"ASYMCERT_DATA": str(data_dir.resolve())}
    options: dict[str, Any] = {"capture_output": True, "text": True, "env": environment}
    done = subprocess.run([sys.executable, "-m", "asymcert", *command], cwd=data_dir / "tables", **options)
    if done.returncode not in allowed:
        raise SystemExit(f"asymcert {shlex.join(command)} failed:\n{done.stderr}")
    return done.stdout


def compared(entry: zoo.Entry, measured: dict[str, Any]) -> list[str]:
    """Figures of the card that did not come out again."""
    stated, found = (
        dict(numbers({key: card[key] for key in ("clean", "certified", "attacks")})) for card in (entry.card, measured)
    )
    keys = sorted(set(stated) | set(found))
    return [
        f"{key}: {stated.get(key)} on the card, {found.get(key)} measured"
        for key in keys
        if not same(stated.get(key), found.get(key))
    ]


def numbers(value: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Every leaf of a card with where it stands."""
    if isinstance(value, (dict, list)):
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            yield from numbers(item, f"{path}/{key}")
    else:
        yield path, value


def same(stated: Any, found: Any) -> bool:
    if isinstance(stated, float) and isinstance(found, (int, float)):
        return math.isclose(stated, found, rel_tol=SAME)
    return stated == found


def line(entry: zoo.Entry, broken: int, seconds: float) -> str:
    shares = " ".join("-" if value is None else f"{value:.4f}" for value in entry.figures().values())
    radii = " ".join(f"{name.split(' box')[0]} {value:.4g}" for name, value in entry.radii().items())
    attacked = sum(each["tried"] for each in entry.card["attacks"])
    return f"{entry.name:24} {shares}  {radii}  {broken} of {attacked}  {entry.size / 1e6:.2f} MB {seconds:.0f} s"


if __name__ == "__main__":
    sys.exit(main())
