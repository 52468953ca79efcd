"""Open Problem 3.9: input-convex ReLU networks with 100 % training accuracy on unaugmented CIFAR-10 cats and dogs.

    python benchmarks/open_problem.py [--units 2,8,64] [--smoothing 0.1] [--hull] [--out FOLDER] [--limit N]

The training data are all 10,000 images of the publisher's training set, 5,000 of each class, as they are. For both
directions (cats sensitive, dogs sensitive):

1. networks of `--units` ReLUs in one hidden layer, trained on squared hinge losses in whitened coordinates;
2. with `--hull`, one unit for each sensitive image from its projection onto the hull of the other class, and the greedy
   choice of few of them.

Each is saved and loaded, then counted in float64 and in float32, and measured on the 2,000 test images: as it is, and
with the threshold at which the accuracies of both classes are nearest to each other (chosen on the test images: an
upper limit, not a fair result). Radii are medians in l2 without a box: certified by the tangent method, for the first
500 sensitive training images and for all sensitive test images; and, for these training images, by the one unit that
proves most, before rounding errors: what exact certificates reach at least. Seconds are those of the processor. The
first certified images are attacked just inside their radii, and their certificates proven and checked.

One thread of two cores shared with other jobs (load 5), torch 2.13; the rows of one unit by `--units 1`:

    cat sensitive: 5000 + 5000 training images
    network       units  wrong float64  float32  test sens.   other  balanced  radius    test  by a unit  seconds
    learned 1         1           2112     2112      52.6 %  55.2 %    53.7 %  0.00240  0.000273    0.00241     13.7
    learned 2         2              0        0      57.5 %  47.0 %    52.4 %  0.00405  0.00181    0.00405     18.5
    learned 8         8              0        0      69.5 %  38.6 %    56.2 %  0.0352  0.0186     0.0357     10.0
    learned 64       64              0        0      61.5 %  48.9 %    56.4 %  0.0722  0.0124     0.0789     11.8
    hull           5000              0        0      93.1 %   9.2 %    54.4 %    1.82   0.796       6.37    266.2
    hull, few       913              0        0      87.6 %  13.9 %    53.9 %   0.872   0.468      0.781     15.5
    dog sensitive: 5000 + 5000 training images
    network       units  wrong float64  float32  test sens.   other  balanced  radius    test  by a unit  seconds
    learned 1         1           2114     2114      55.0 %  52.7 %    53.7 %  0.00245  0.000586    0.00246     12.4
    learned 2         2              0        0      57.5 %  50.3 %    53.9 %  0.00452  0.00222    0.00455     17.4
    learned 8         8              0        0      69.8 %  41.3 %    56.4 %  0.0368  0.0192     0.0374     10.0
    learned 64       64              0        0      59.8 %  43.9 %    51.9 %  0.0750  0.00946     0.0808     12.2
    hull           5000              0        0      95.9 %  10.4 %    59.5 %    1.68   0.824       6.32    232.5
    hull, few       853              0        0      91.3 %  15.8 %    57.5 %   0.832   0.476      0.800     15.2
    peak memory 2.4 GiB

Of the learned networks of 2, 8 and 64 units, both directions, the first 20 sensitive training images each: 0 of 120
attacks inside radii won, and all 120 certificates confirmed by the independent checker.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import resource
import tempfile
import time
from pathlib import Path

import torch
from torch import Tensor

from asymcert import FeatureConvexClassifier, ThreatModel, certify, datasets
from asymcert.attacks import ProjectedGradient
from asymcert.datasets import BinaryData
from asymcert.evaluate import ceil_format, floor_percent, floor_significant
from asymcert.proofs import checker
from asymcert.proofs.writer import write_proofs
from asymcert.theory.perfect import Units, count_errors, cover, hull_units, learn_units, perfect_classifier

COLUMNS = (
    "network       units  wrong float64  float32  test sens.   other  balanced  radius    test  by a unit  seconds"
)
VERIFIED = 20  # sensitive training images that are attacked, and whose certificates are proven
CERTIFIED = 500  # sensitive training images whose radii are certified


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir")
    parser.add_argument("--units", default="2,8,64")
    parser.add_argument("--smoothing", type=float, default=0.1)
    parser.add_argument("--hull", action="store_true")
    parser.add_argument("--limit", type=int, help="only the first training images of each class")
    parser.add_argument("--sensitive", choices=("cat", "dog"), action="append")
    parser.add_argument("--out", type=Path, help="folder to keep the models in")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    for sensitive in arguments.sensitive or ("cat", "dog"):
        data = datasets.load("cifar10-cats-dogs", arguments.data_dir, sensitive=sensitive, seed=0)
        x, y = training_set(data, arguments.limit)
        print(f"{sensitive} sensitive: {int(y.sum())} + {int((~y).sum())} training images\n{COLUMNS}", flush=True)
        for count in map(int, arguments.units.split(",")):
            start = time.process_time()
            units = learn_units(x, y, count, smoothing=arguments.smoothing)
            report(f"learned {count}", units, data, x, y, time.process_time() - start, arguments.out)
        if arguments.hull:
            start = time.process_time()
            units = hull_units(x, y)
            report("hull", units, data, x, y, time.process_time() - start, arguments.out)
            start = time.process_time()
            few = cover(units, x[y], share=0.02)
            report("hull, few", few, data, x, y, time.process_time() - start, arguments.out)
    print(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.1f} GiB")


def training_set(data: BinaryData, limit: int | None) -> tuple[Tensor, Tensor]:
    """The publisher's training set, which this package splits into training and validation."""
    x, y = torch.cat([data.train.x, data.val.x]), torch.cat([data.train.y, data.val.y])
    if limit is not None:
        kept = torch.cat([y.nonzero()[:limit, 0], (~y).nonzero()[:limit, 0]])
        x, y = x[kept], y[kept]
    return x, y


def report(
    name: str, units: Units, data: BinaryData, x: Tensor, y: Tensor, seconds: float, folder: Path | None
) -> None:
    model = perfect_classifier(
        units, data.input_shape, sensitive=data.sensitive, other=data.other, info={"data": data.digest}
    )
    with tempfile.TemporaryDirectory() as temporary:
        path = (folder or Path(temporary)) / f"{data.sensitive}-{name.replace(', ', '-').replace(' ', '-')}.safetensors"
        path.parent.mkdir(parents=True, exist_ok=True)
        model.save(path)
        model = FeatureConvexClassifier.load(path)
        single = FeatureConvexClassifier.load(path).float()
        attacked, won, proven = verified(model, path, x[y][:VERIFIED])
    errors, single_errors = count_errors(model, x, y), count_errors(single, x, y)
    test = count_errors(model, data.test.x, data.test.y)
    positives = int(data.test.y.sum())
    shares = [1 - test.sensitive / positives, 1 - test.other / (len(data.test) - positives), balanced(units, data)]
    radii = [median_radius(model, x[y][:CERTIFIED]), median_radius(model, data.test.x[data.test.y])]
    radii.append(float((units.values(x[y][:CERTIFIED]) / units.weights.norm(dim=1)).amax(1).median()))
    percent, radius = [floor_percent(share) for share in shares], [floor_significant(value) for value in radii]
    print(
        f"{name:<12}  {len(units):>5}  {errors.total:>13}  {single_errors.total:>7}"
        f"  {percent[0]:>10}  {percent[1]:>6}  {percent[2]:>8}"
        f"  {radius[0]:>6}  {radius[1]:>6}  {radius[2]:>9}  {ceil_format(seconds, 1):>7}",
        f"\n{'':<12}  attacks inside radii of {attacked} images: {won} won; proofs confirmed: {proven}",
        flush=True,
    )


def verified(model: FeatureConvexClassifier, path: Path, x: Tensor) -> tuple[int, int, int]:
    """Images attacked just inside their radii, attacks won, and proofs that the independent checker confirms."""
    threat = ThreatModel(2.0)
    certificate = certify(model, x, threat, method="tangent")
    tried = certificate.radius > 0
    attack = ProjectedGradient(restarts=2)
    result = attack.run(model, x[tried], threat, 0.999 * certificate.radius[tried], torch.Generator().manual_seed(0))
    with tempfile.TemporaryDirectory() as folder:
        proofs = [str(proof) for proof in write_proofs(folder, model, x, certificate) if proof is not None]
        with contextlib.redirect_stdout(io.StringIO()):
            confirmed = sum(checker.main([str(path), proof]) == 0 for proof in proofs)
    return int(tried.sum()), int(result.success.sum()), confirmed


def balanced(units: Units, data: BinaryData) -> float:
    """Mean of both classes' test accuracies at the threshold where they are nearest to each other."""
    score = units.values(data.test.x).amax(1)
    levels = score.sort().values
    sensitive = torch.searchsorted(score[data.test.y].sort().values, levels, right=True) / data.test.y.sum()
    other = torch.searchsorted(score[~data.test.y].sort().values, levels, right=True) / (~data.test.y).sum()
    nearest = int((1 - sensitive - other).abs().argmin())
    return float((1 - sensitive[nearest] + other[nearest]) / 2)


def median_radius(model: FeatureConvexClassifier, x: Tensor) -> float:
    """Median certified l2 radius; 0 for images that are not called sensitive."""
    return float(certify(model, x, ThreatModel(2.0), method="tangent").radius.median())


if __name__ == "__main__":
    main()
