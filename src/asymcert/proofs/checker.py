"""Checks certificates with numpy alone: ``python checker.py MODEL PROOF...``; shares no code with what issued them.

Replacing every ReLU by any factor in [0, 1] and every maximum by any of its members turns a convex network into a
plane below it. A forward pass in floats evaluates the plane of its own masks, so all its errors are those of evaluating
a known affine function: ``gamma_K * (slope . |v| + constant)``, K being the roundings on a path, slope and constant
those of the network of absolute weights.
"""

import argparse
import hashlib
import math
import sys

import numpy as np

if __package__:
    from asymcert.proofs import checker_maps as maps
    from asymcert.proofs import checker_network as own
    from asymcert.proofs import checker_words as words
    from asymcert.proofs.checker_counts import Columns
    from asymcert.proofs.checker_model import LEAST, UNIT, Model, number, read_container
else:  # run as a script, where only numpy is installed
    import checker_maps as maps  # pyright: ignore[reportMissingImports]
    import checker_network as own  # pyright: ignore[reportMissingImports]
    import checker_words as words  # pyright: ignore[reportMissingImports]
    from checker_counts import Columns  # pyright: ignore[reportMissingImports]
    from checker_model import LEAST, UNIT, Model, number, read_container  # pyright: ignore[reportMissingImports]

demand, gamma, ordered_sum = own.demand, own.gamma, own.ordered_sum
GREATEST = {"float32": 2.0**110, "float64": 2.0**1000}  # leaves room for sums before they are averaged
FIELDS = {"format", "model", "threshold", "dtype", "norm", "input", "radius", "sensitive"}
OF_TEXTS = {"edits", "window"}  # fields of proofs of texts
COUNTED, EDITED = {"groups", "exclusive"}, {"family", "ends", "protected"}
MADE = {"x", "anchors", "weights"}
PARTS = {*MADE, "price", "lower", "upper", "cost", "mutable", "direction", *COUNTED}
MOST, MOST_EACH = 2**22, 16  # values of an array: 32 MB, and so many for each value in the files
PROBLEMS = OSError, ValueError, LookupError, TypeError, AttributeError, ArithmeticError, RecursionError, MemoryError


class Claim:
    """What a proof says of a model, and the bounds from which it follows or not."""

    def __init__(self, model, metadata, tensors):
        known = FIELDS <= set(metadata) <= FIELDS | OF_TEXTS and metadata["format"] == 1
        demand(known and ("window" in metadata) == (model.encoder is not None), "the proof's format is unknown")
        parts = PARTS if "edits" not in metadata else MADE | EDITED if model.encoder is None else MADE | {"protected"}
        optional = set() if model.encoder is None else {"anchors"}  # by default the window
        demand(MADE - optional <= set(tensors) <= parts, "the proof lacks a part, or has one too many")
        demand(metadata["model"] == model.digest, "the proof is for another model")
        self.norm, self.radius, threshold = (number(metadata[name]) for name in ("norm", "radius", "threshold"))
        demand(threshold == model.threshold, "the proof is for another threshold")
        demand(metadata["sensitive"] == model.sensitive, "the proof is for the other class")
        self.model, self.dtype, self.tensors, self.kind = model, metadata["dtype"], tensors, words.WHOLE
        demand(self.norm >= 1 or self.norm == 0, "the norm is below 1")
        demand(self.radius > 0, "the radius is not positive")
        self._check_deployed()
        self.place = metadata.get("window")
        self._check_input(metadata["input"], self.place)
        self._check_size()
        demand("edits" in metadata or model.encoder is None, "the proof of a text is not about edits of words")
        self.edits = self._edits(metadata["edits"]) if "edits" in metadata else None
        if self.edits is None:
            self._check_threat()
        with np.errstate(over="raise", invalid="raise", divide="raise"):
            self.slope, self.constant, self.growth, self.spill = model.bounds(self.dtype)
            self.up = 1.0 + gamma(2 * self.slope.size + 64)
            self._cut()

    @property
    def measured(self):
        """The norm that changes of coordinates are measured in."""
        return 2.0 if self.model.map.linear.banded else self.norm

    def check(self):
        """Refuse the claimed radius unless it follows."""
        demand(self.need(self.radius, self.price) < self.value, "the radius does not follow from the cuts")

    def _part(self, name, shape, default=None, layout="<f8"):
        """A tensor of the proof, broadcast to `shape`."""
        part = np.asarray(default) if default is not None and name not in self.tensors else self.tensors[name]
        demand(part.dtype == layout or name not in self.tensors, f"{name} is of the wrong type")
        demand(np.isfinite(part).all() or name not in self.tensors, f"{name} is NaN or infinite")
        demand(part.shape in (shape, ()), f"{name} has the wrong shape")
        return np.broadcast_to(part, shape)

    def _check_deployed(self):
        demand(self.dtype in UNIT, "the deployed type is neither float32 nor float64")
        for weight in self.model.tensors.values():
            with np.errstate(over="ignore"):
                exact = self.dtype == "float64" or (weight.astype(np.float32) == weight).all()
            demand(exact, "the model's weights are not float32 numbers")
        least = LEAST[self.dtype] / UNIT[self.dtype]  # what a quotient loses by underflow is one rounding more
        for part in self.model.map.parts:
            fits = least < part.divisors.min() and part.divisors.max() < GREATEST[self.dtype]
            demand(fits, "a feature map's number is out of range")

    def _check_input(self, digest, place):
        sent, shape, weights = self.tensors["x"], self.model.shape, self.tensors["weights"]
        self.x = self._part("x", shape if place is None else (sent.size,))
        demand(sent.shape == self.x.shape, "x has the wrong shape")
        demand(hashlib.sha256(self.x.tobytes()).hexdigest() == digest, "the digest of x does not fit")
        if place is not None:
            self.kind, self.x = words.window(self.x, place, self.model.words)
        demand(weights.ndim == 1 and weights.size > 0, "weights have the wrong shape")
        self.weights = self._part("weights", weights.shape)
        touched = (weights.size, *shape)
        self.anchors = self._part("anchors", touched, None if place is None else np.broadcast_to(self.x, touched))
        demand((self.weights >= 0).all(), "a weight is negative")
        demand(abs(ordered_sum(self.weights) - 1.0) <= 2.0**-50, "the weights do not sum to 1")

    def _check_size(self):
        """Arrays hold so many values for each that was sent, whatever files declare."""
        sent = sum(part.size for part in (*self.model.tensors.values(), *self.tensors.values()))
        network, rows = self.model.network, max((self.model.map.bends + 3) ** 2, self.weights.size)
        wide = max(math.prod(network.shape), math.prod(self.model.map.shape), self.x.size)
        fits = max(rows * wide, network.held) <= MOST + MOST_EACH * sent
        demand(fits, "too large for what was sent", own.TooLargeError)

    def _edits(self, described):
        """Edits of the words of x, and the box of 0 and 1 that all inputs stay in that they can flip."""
        shape, features, tensors = self.model.shape, self.model.words, self.tensors
        demand(self.norm == 0 and len(shape) == 1, "edits of words are not counted in this norm")
        if features is None:
            described = dict(described)
            features = words.Features(tensors["family"], tensors["ends"], described.pop("grams"))
            demand(features.family.shape == shape, "family has the wrong shape")
        edits = words.Edits(described, number, features, self._part("protected", shape, False, "|b1"), self.x)
        edits.check_window(self.kind, self.model.encoder and self.model.encoder["windows"])
        self.cost, self.price = np.ones(shape), np.zeros(shape)
        self.lower, self.upper = (np.where(edits.mutable, end, self.x) for end in (0.0, 1.0))
        return edits

    def _check_threat(self):
        shape, x = self.model.shape, self.x
        self.cost = self._part("cost", shape, 1.0)
        demand((self.cost > 0).all(), "a cost is not positive")
        direction, mutable = self._part("direction", shape, 0, "|i1"), self._part("mutable", shape, True, "|b1")
        lower, upper = self._part("lower", shape, -math.inf), self._part("upper", shape, math.inf)
        demand((np.abs(direction) <= 1).all(), "a direction is none of -1, 0 and 1")
        demand(((lower <= x) & (x <= upper)).all(), "x is outside its box")
        self.mutable = mutable
        demand(self.norm == 0 or not COUNTED & set(self.tensors), "columns are not counted in this norm")
        demand(self.norm >= 1 or not self.model.map.linear, "columns are not counted behind a low-pass or bands")
        if self.norm == 0:
            groups = self._part("groups", shape, np.arange(x.size).reshape(shape), "<i8")
            self.columns = Columns(groups, self._part("exclusive", shape, False, "|b1"), self.cost, x)
        self.lower = np.where(mutable & (direction <= 0), lower, x)
        self.upper = np.where(mutable & (direction >= 0), upper, x)
        demand(("price" in self.tensors) == (1 <= self.measured < math.inf), "a price is missing, or one too many")
        self.price = self._part("price", self.model.map.shape, 0.0)
        demand((self.price >= 0).all(), "a price is negative")

    def _cut(self):
        """Value at x and gradient of the weighted sum of the planes at the anchors, and their errors."""
        model, weights, parts = self.model, self.weights, self.model.map
        self.at, self.blur = parts.linear(self.x[None])[0], parts.linear.blur(self.x[None], self.spill)[0]
        self.at_cost = parts.linear.cost(self.cost, self.norm)
        self.features, self.knots = parts(self.at[None]), parts.knots()
        at_anchors = parts(parts.linear(self.anchors))
        self.size = parts.magnitude_of_inputs(np.abs(self.x[None]), self.spill)
        values, gradients = [], []
        for anchor in at_anchors:
            value, gradient, _ = model.network.evaluate(anchor)
            values.append(value - model.threshold + ordered_sum((gradient * (self.features[0] - anchor)).ravel()))
            gradients.append(gradient)
        self.value = ordered_sum(weights * np.array(values))
        self.gradient = ordered_sum(weights.reshape(-1, *[1] * gradients[0].ndim) * np.stack(gradients))
        self.stages = parts.roundings
        self.gamma = gamma(model.network.roundings + self.slope.size + weights.size + self.stages + 32)
        sizes = self.size + parts.magnitude_of_inputs(np.abs(self.anchors), self.spill).max(0)
        self.error = 3.0 * self.gamma * (self._total(self.slope * sizes) + self.constant)
        demand(np.isfinite(self.value) and np.isfinite(self.gradient).all(), "the network overflows")

    def _total(self, terms):
        """Upper bound on a sum of nonnegative terms."""
        return ordered_sum(terms.ravel()) * self.up

    def inputs_reach(self, radius):
        """Least and greatest value of each input within the radius, rounded outward.

        Where nothing changes beyond the outermost knots, no farther than these. Counted columns change by any amount.
        """
        spread = radius / self.cost * (1.0 + 4 * own.U) if self.norm else math.inf
        low = np.maximum(self.lower, np.nextafter(self.x - spread, -math.inf))
        high = np.minimum(self.upper, np.nextafter(self.x + spread, math.inf))
        if self.model.map.flat:
            low = np.maximum(low, np.minimum(self.x, self.knots[0].min(0)))
            high = np.minimum(high, np.maximum(self.x, self.knots[0].max(0)))
        demand(np.isfinite(low).all() and np.isfinite(high).all(), "an infinite radius needs a bounded box")
        return low, high

    def reach(self, radius):
        """Least and greatest value of each coordinate within the radius, rounded outward."""
        low, high = self.inputs_reach(radius)
        linear = self.model.map.linear
        if not linear:
            return low, high
        low, high = (end[0] for end in linear.outward(low[None], high[None], self.spill))
        spread = radius / self.at_cost * (1.0 + 4 * own.U) + self.blur
        least, greatest = np.nextafter(self.at - spread, -math.inf), np.nextafter(self.at + spread, math.inf)
        return np.maximum(low, least), np.minimum(high, greatest)

    def vertices(self, radius):
        """Points where the plane's fall along one coordinate can bend, within the radius.

        Least and greatest value of each coordinate, and for all points the size of the change (rounded down) and the
        fall (rounded up), (j, *shape). A knot that is not exact is where it is up to its own rounding.
        """
        x, (knots, terms), (low, high) = self.at, self.knots, self.reach(radius)
        points = np.stack((low, high, *np.clip(knots, low, high)))
        slack = np.concatenate((np.zeros((2, *x.shape)), gamma(self.stages + 2 * maps.STAGE) * (terms + self.spill)))
        budget = self.at_cost * np.maximum(np.abs(points - x) - slack - self.blur, 0.0) * (1.0 - 16 * own.U)
        return low, high, np.where(budget > 1e-290, budget, 0.0), self.falls(points, slack)

    def falls(self, points, slack):
        """Fall along each coordinate to points that are where they are up to a slack, rounded up: (j, *shape)."""
        parts = self.model.map
        fall = parts.by_input(self.gradient * (self.features - parts(points)))
        steep = np.abs(self.gradient)
        rounded = parts.by_input(steep * (self.size + parts.magnitude(np.abs(points), self.spill)))
        error = gamma(self.stages + parts.most + 16) * rounded
        return fall + error + parts.by_input((steep * parts.steepest)[None]) * slack

    def need(self, radius, price):
        """Upper bound on the fall, errors included, of the deployed margin over all changes up to the radius.

        For p < inf and any prices of the inputs' changes t: the falls sum to at most the excesses of the falls over
        price . t, and price . t to at most the dual norm of the prices times the radius.
        """
        with np.errstate(over="raise", invalid="raise", divide="raise"):
            _, _, budget, fall = self.vertices(radius)
            error = self.rounding(radius)
            if self.norm == 0:
                flipped = self.falls(1.0 - self.x[None], np.zeros((1, *self.x.shape))).ravel()
                if self.edits is not None:
                    return (self.edits.bound(flipped, radius) + error) * self.up
                drops = self.columns.drops(fall.max(0).ravel(), flipped, self.mutable.ravel())
                return (self.columns.bound(drops, radius) + error) * self.up
            if math.isinf(self.measured):
                return (self._total(np.maximum(fall.max(0), 0.0)) + error) * self.up
            excess = np.maximum((fall - price * budget).max(0), 0.0) + 2.0**-1070  # products underflow
            paid = own.dual_norm(price, self.measured)
            return (self._total(excess) + (paid * radius if paid > 0 else 0.0) + error) * self.up

    def rounding(self, radius):
        """Errors of the cut, of its gradient over the change, and of the deployed classifier within the radius."""
        model, unit, exact = self.model, UNIT[self.dtype], self.dtype == "float64"
        low, high = self.inputs_reach(radius)
        farthest, most = np.maximum(np.abs(low), np.abs(high))[None], np.maximum(high - self.x, self.x - low)[None]
        most = model.map.linear.sums(
            most, self.spill
        )  # of what sums are computed from, though changes may cancel in them
        moves = model.map.spread(most)[0] * model.map.steepest
        moved = self._total(self.slope * moves)
        if self.norm and math.isfinite(radius) and not model.map.linear.banded:  # where terms may grow and bands do not
            slope = model.map.by_input((self.slope * model.map.steepest)[None])[0] * self.up
            moved = min(moved, own.dual_norm(slope / self.at_cost, self.norm) * radius * self.up)
        features = model.map.magnitude_of_inputs(farthest, self.spill, exact)
        at_x = model.map.magnitude_of_inputs(np.abs(self.x[None]), self.spill, exact)
        largest = max(1.0, farthest.max(), features.max())
        fits = self.growth[0] + self.growth[1] * largest + largest + self.constant < GREATEST[self.dtype]
        demand(fits, "the deployed classifier can overflow")
        terms = min(self._total(self.slope * features), self._total(self.slope * at_x) + moved) + self.constant
        deployed = gamma(model.network.forward_roundings + self.stages + 4, unit) * terms
        moved = min(moved, self._total(self.slope * np.minimum(moves, model.map.most_moved)))
        return (self.error + self.gamma * moved + deployed) * self.up


def floored(radius):
    """Twelve decimals of a radius, rounded down."""
    if math.isinf(radius):
        return "inf"
    top, bottom = radius.as_integer_ratio()
    digits = f"{top * 10**12 // bottom:013d}"
    return f"{digits[:-12]}.{digits[-12:]}"


def attempted(path, check):
    """What a check of a file gives, or None, and its exit code; one line says what is wrong."""
    try:
        return check(), 0
    except PROBLEMS as reason:
        unproved = isinstance(reason, own.RefusedError | FloatingPointError)
        word, code = ("REFUSED", 1) if unproved and not isinstance(reason, own.TooLargeError) else ("UNREADABLE", 2)
        kind = "" if isinstance(reason, ValueError) else f"{type(reason).__name__} "
        say(f"{path}: {word}: {kind}{str(reason)[:300]}")
        return None, code


def say(text):
    """Print one line in whatever characters the terminal has."""
    encoding = sys.stdout.encoding or "utf-8"
    print(" ".join(text.splitlines()).encode(encoding, "backslashreplace").decode(encoding))


def confirm(model, path):
    """Check one proof, and print its radius."""
    claim = Claim(model, *read_container(path, "asymcert-proof"))
    claim.check()
    size = f"l{claim.norm:g}" if claim.edits is None else f"edits ({claim.edits})"
    place = "" if claim.place is None else f"window {claim.place}, "
    say(f"{path}: {place}{size} radius {floored(claim.radius)} ({claim.radius.hex()}) CONFIRMED")


def main(arguments=None):
    """Check proofs, print one line for each, and return the exit code."""
    codes = (
        "Exit code: 0 all confirmed, 1 a claim is refused, 2 a file is unreadable or too large; of several the worst."
    )
    parser = argparse.ArgumentParser(description="Confirm or refuse certified radii.", epilog=codes)
    parser.add_argument("model", help="model file")
    parser.add_argument("proofs", nargs="+", metavar="proof", help="proof files")
    options = parser.parse_args(arguments)
    model, code = attempted(options.model, lambda: Model(options.model))
    return code or max(attempted(path, lambda path=path: confirm(model, path))[1] for path in options.proofs)


if __name__ == "__main__":
    sys.exit(main())
