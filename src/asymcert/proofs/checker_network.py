"""The checker's own networks, in numpy alone; sums have a fixed order, the same on every machine."""

import math

import numpy as np

U = 2.0**-53  # unit roundoff of float64


class RefusedError(ValueError):
    """The claim does not follow from model and proof."""


class TooLargeError(RefusedError):
    """To decide takes far more memory than the files that were sent."""


def demand(condition, reason, error: type[ValueError] = RefusedError):
    """Refuse the claim unless the condition holds."""
    if not condition:
        raise error(reason)


def count(value, most, least=1):
    """A whole number that a file declares."""
    demand(type(value) is int and least <= value <= most, f"{value!r:.40} is no whole number up to {most}", ValueError)
    return value


def shape_of(sides):
    """A shape that a file declares; nothing is made of that size before it is compared with what the file holds."""
    return tuple(count(side, 2**40) for side in sides)


def ordered_sum(terms, axis=0):
    """Sum from first to last, in the same order on every machine."""
    return np.cumsum(terms, axis=axis).take(-1, axis=axis)


def gamma(roundings, unit=U):
    """``K u / (1 - K u)``, rounded up: relative error after K roundings."""
    demand(roundings * unit < 0.5, "the network is too deep to bound its rounding errors")
    return roundings * unit / (1.0 - roundings * unit) * (1.0 + 2.0**-40)


def power(base, exponent):
    """Upper bound on ``base ** exponent`` by products and square roots, which all machines round alike."""
    result, square, whole, root = np.ones_like(base), base, math.floor(exponent), base
    fraction = exponent - whole
    while whole:
        result, square, whole = result * square if whole & 1 else result, square * square, whole >> 1
    for _ in range(64):
        root, (bit, fraction) = np.sqrt(root), divmod(2.0 * fraction, 1.0)
        result = result * root if bit else result
    return result * (1.0 + (16.0 * exponent + 400.0) * U) + 2.0**-1000


def dual_norm(values, norm):
    """Upper bound on the dual of the l_p norm of nonnegative values."""
    top, up = values.max(), 1.0 + gamma(2 * values.size + 64)
    if norm == 1 or top == 0:
        return top
    if math.isinf(norm):
        return ordered_sum(values.ravel()) * up
    q = norm / (norm - 1.0) * (1.0 - 8 * U)
    return top * power(ordered_sum(power(values.ravel() / top, q)) * up, (1.0 + 8 * U) / q) * up


class Nothing:
    """A connection that is not there."""

    fan_in = fan_out = held = 0

    def back(self, g):
        """Zero, as its value is."""
        return 0.0

    __call__ = back


class Dense:
    """``W v`` and its transpose."""

    held = 0

    def __init__(self, weight, shape):
        self.weight, (self.fan_out, self.fan_in) = weight, weight.shape
        self.out_shape = self.bias_shape = weight.shape[:1]
        demand(self.fan_in == math.prod(shape), "a weight has the wrong shape", ValueError)

    def __call__(self, v):
        """(fan_in values of any shape) -> (fan_out,)."""
        return ordered_sum(self.weight * v.ravel(), 1)

    def back(self, g):
        """(fan_out,) -> (fan_in,)."""
        return ordered_sum(self.weight * g[:, None], 0)


class Convolution:
    """Cross-correlation of (c, h, w) images, zero-padded by half the kernel's width, and its transpose."""

    def __init__(self, weight, stride, shape):
        (outputs, inputs, self.width, height), self.weight = weight.shape, weight
        self.stride, self.shape = stride, shape
        demand(height == self.width and inputs == shape[0], "a weight has the wrong shape", ValueError)
        self.fan_in, self.fan_out = inputs * self.width**2, outputs * self.width**2
        self.out_shape = (outputs, *((side - self.width % 2) // stride + 1 for side in shape[1:]))
        self.bias_shape = (outputs, 1, 1)
        padded = [side + 2 * (self.width // 2) for side in shape[1:]]
        self.held = math.prod(self.out_shape) + inputs * math.prod(padded)  # values of a pass

    def _windows(self, index):
        """Part of the padded image that each kernel entry meets, entries in the order of `index`."""
        reach = [self.stride * (side - 1) + 1 for side in self.out_shape[1:]]
        for n, i, j in np.ndindex(index, self.width, self.width):
            yield n, i, j, slice(i, i + reach[0], self.stride), slice(j, j + reach[1], self.stride)

    def __call__(self, v):
        """(c, h, w) -> out_shape."""
        out, pad = np.zeros(self.out_shape), self.width // 2
        padded = np.pad(v, ((0, 0), (pad, pad), (pad, pad)))
        for n, i, j, rows, columns in self._windows(self.shape[0]):
            out += self.weight[:, n, i, j, None, None] * padded[n, rows, columns]
        return out

    def back(self, g):
        """out_shape -> (c, h, w)."""
        pad, (_, height, width) = self.width // 2, self.shape
        out = np.zeros((self.shape[0], height + 2 * pad, width + 2 * pad))
        for n, i, j, rows, columns in self._windows(self.out_shape[0]):
            out[:, rows, columns] += self.weight[n, :, i, j, None, None] * g[n]
        return out[:, pad : pad + height, pad : pad + width]


class Pool:
    """Weighted sum, or maximum, over squares of an image; pixels that fill no square are left out."""

    def __init__(self, width, share=None):
        self.width, self.share = width, share  # no share: maximum

    def _squares(self, image):
        k, (height, width) = self.width, image.shape[1:]
        for i, j in np.ndindex(k, k):
            yield image[:, i : height // k * k : k, j : width // k * k : k]

    def __call__(self, z):
        """(c, h, w) -> pooled image, and the share (k * k, ...) that each member of a square has in it."""
        if self.width == 1:
            return z, None
        members = np.stack(list(self._squares(z)))
        chosen = np.arange(self.width**2).reshape(-1, 1, 1, 1) == members.argmax(0)
        share = np.where(chosen, 1.0, 0.0) if self.share is None else np.full(members.shape, self.share)
        return ordered_sum(members * share), share

    def back(self, g, share, shape):
        """Gradient by the pooled image -> gradient by the image of `shape`."""
        if share is None:
            return g
        out = np.zeros(shape)
        for square, part in zip(self._squares(out), share, strict=True):
            square += part * g.reshape(part.shape)
        return out


class Network:
    """A convex score; with `spill` > 0 its absolute network: absolute weights, biases + spill, sums for maxima."""

    def __init__(self, described, tensors, spill=0.0):
        options, prefix, self.mirror, self.shift = dict(described), "score.", False, 0
        self.spill, self.shape = spill, shape_of(described["input_shape"])
        if options["kind"] == "SymmetricAverage":
            self.mirror, self.shift = bool(options["mirror"]), count(options["shift"], min(self.shape[1:]), 0)
            options, prefix = dict(options["base"]), "score.base."
        pick = {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}
        if spill:
            pick = {name: np.abs(value) + (spill if "bias" in name else 0.0) for name, value in pick.items()}
        self.passes = (9 if self.shift else 1) * (2 if self.mirror else 1)
        self._build(options, pick)
        demand(not pick and not options, f"{[*pick, *options]} are unknown to this checker")
        self._count_roundings(scattered=self.passes * (self.shift + 1) ** 2)
        self.held = math.prod(self.shape) + sum(operator.held for operator in (*self.inner, *self.free))

    def _count_roundings(self, scattered):
        """Greatest numbers of roundings on a path: to the score, and of both passes together."""
        z = self.free[0].fan_in + 1
        source = z if self.residual else 0
        for inner, free in zip(self.inner, self.free[1:], strict=True):
            z = max(z + inner.fan_in, source + free.fan_in) + 3
        self.forward_roundings = z + self.pool.width**2 + self.passes + 4
        backward = sum(inner.fan_out + 2 for inner in self.inner) + sum(free.fan_out + 1 for free in self.free)
        self.roundings = self.forward_roundings + backward + scattered + 8

    def _build(self, options, pick):
        """Take layers and options out of `pick` and `options`."""
        kind = options.pop("kind")
        demand(kind in ("ConvexMLP", "ConvexConvNet"), f"a score {kind} is unknown to this checker")
        demand(tuple(options.pop("input_shape")) == self.shape, "the score is for other features")
        demand(options.pop("batch_norm") is False, "the network is not folded")
        self.residual, self.pool = kind == "ConvexConvNet", Pool(1)
        first = _operator(pick.pop("first.weight"), count(options.pop("stride", 1), math.inf), self.shape)
        depth = count(options.pop("depth") if self.residual else len(options.pop("hidden")), len(pick), self.residual)
        if self.residual:
            width, pool = count(options.pop("pool_size"), min(first.out_shape[1:])), options.pop("pool")
            demand(pool in ("max", "average"), f"pooling {pool} is unknown to this checker")
            self.pool = Pool(width, 1.0 / width**2 if pool == "average" else 1.0 if self.spill else None)
        for implied in ("channels", "first_kernel", "kernel", "passthrough", "monotone", "signs"):  # by the weights
            options.pop(implied, None)
        source = first.out_shape if self.residual else self.shape
        direct = [pick.pop(f"direct.{index}.weight", None) for index in range(depth)]
        self.free = [first, *(Nothing() if part is None else _operator(part, 1, source) for part in direct)]
        names = [f"hidden.{index}" for index in range(depth)]
        if self.residual:
            names[-1] = "readout"
        weights = [pick.pop(f"{name}.weight") for name in names]
        demand(all((weight >= 0).all() for weight in weights), "a weight that must be nonnegative is negative")
        layers = [first]
        for weight in weights:
            channels, *sides = layers[-1].out_shape
            seen = (channels, *(side // (self.pool.width if weight.ndim == 2 else 1) for side in sides))
            layers.append(_operator(weight, 1, seen))
        same = not self.residual or len({layer.out_shape for layer in layers[:-1]}) == 1
        demand(same and layers[-1].out_shape == (1,), "a weight has the wrong shape", ValueError)
        self.inner, biases = layers[1:], [pick.pop(f"{name}.bias") for name in ("first", *names)]
        self.bias = [bias.reshape(layer.bias_shape) for layer, bias in zip(layers, biases, strict=True)]

    def evaluate(self, features):
        """Score, gradient by the features, and the greatest intermediate value."""
        value, gradient, peak = 0.0, np.zeros(features.size), 0.0
        for image in self._images():
            part, slope, top = self._evaluate(features.ravel()[image if self.residual else image.ravel()])
            np.add.at(gradient, image.ravel(), slope.ravel())  # one after another
            value, peak = value + part, max(peak, top)
        gradient = gradient.reshape(features.shape) / self.passes + self.spill
        return value / self.passes, gradient, max(peak, value)

    def _images(self):
        """The pixels of all shifted images, mirrored ones too if asked for; edges repeat."""
        pixels = np.arange(math.prod(self.shape)).reshape(self.shape)
        shifted = [pixels]
        if self.shift:
            steps = (0, self.shift, -self.shift)
            rows, columns = ([np.clip(np.arange(n) + step, 0, n - 1) for step in steps] for n in self.shape[1:])
            shifted = (pixels[:, down[:, None], right] for down in rows for right in columns)
        for image in shifted:
            yield from (image, image[:, :, ::-1]) if self.mirror else (image,)

    def _evaluate(self, v):
        s = self.free[0](v) + self.bias[0]
        source = s if self.residual else v  # what the free connections of later layers see
        if not self.inner:  # affine
            return s[0], self.free[0].back(np.ones(1)) + self.spill, max(v.max(), s[0])
        masks, peak, z = [s > 0], max(v.max(), s.max()), np.where(s > 0, s, 0.0)
        for inner, free, bias in zip(self.inner[:-1], self.free[1:-1], self.bias[1:-1], strict=True):
            s = inner(z) + bias + free(source)
            masks.append(s > 0)
            z = (z if self.residual else 0.0) + np.where(s > 0, s, 0.0)
            peak = max(peak, s.max(), z.max())
        pooled, share = self.pool(z)
        (value,) = self.inner[-1](pooled) + self.bias[-1] + self.free[-1](source)
        return value, self._gradient(masks, source, z, share), max(peak, pooled.max(), value)

    def _gradient(self, masks, source, z, share):
        """By the features; masks and shares are those of the forward pass."""
        to_source = self.free[-1].back(np.ones(1)) + np.zeros(source.shape)
        to_z = self.pool.back(self.inner[-1].back(np.ones(1)), share, z.shape).reshape(z.shape) + self.spill
        for mask, inner, free in zip(masks[:0:-1], self.inner[-2::-1], self.free[-2:0:-1], strict=True):
            to_s = np.where(mask, to_z, 0.0)
            to_source = to_source + free.back(to_s)
            to_z = (to_z if self.residual else 0.0) + inner.back(to_s) + self.spill
        to_s = np.where(masks[0], to_z, 0.0)
        if self.residual:
            return self.free[0].back(to_s + to_source + self.spill)
        return to_source + self.free[0].back(to_s) + self.spill


def _operator(weight, stride, shape):
    return Dense(weight, shape) if weight.ndim == 2 else Convolution(weight, stride, shape)
