"""The linear maps that a feature map begins with: sums of a low-pass, bands, or bands of sums."""

import numpy as np

if __package__:
    from asymcert.proofs.checker_bands import Bands
    from asymcert.proofs.checker_blocks import Blocks
    from asymcert.proofs.checker_network import demand, gamma
else:  # run as a script, where only numpy is installed
    from checker_bands import Bands  # pyright: ignore[reportMissingImports]
    from checker_blocks import Blocks  # pyright: ignore[reportMissingImports]
    from checker_network import demand, gamma  # pyright: ignore[reportMissingImports]

KINDS = ("LowPass", "Haar")


class Linear:
    """What makes coordinates of inputs: perhaps nothing, then they are the inputs."""

    def __init__(self):
        self.parts = []

    def append(self, described, mixing, shape):
        """Add a map of what the others give; returns the shape of coordinates from now on."""
        banded = described["kind"] == "Haar"
        demand(banded or not self.parts, "a low-pass after other maps is unknown to this checker")
        self.parts.append(Bands(described, mixing, shape) if banded else Blocks(described, shape))
        return self.parts[-1].out_shape

    def __len__(self):
        """How many maps."""
        return len(self.parts)

    @property
    def banded(self):
        """Whether changes of coordinates are measured in l2, whatever the norm of the inputs' changes."""
        return any(isinstance(part, Bands) for part in self.parts)

    @property
    def roundings(self):
        """Of all maps."""
        return sum(part.roundings for part in self.parts)

    def __call__(self, x):
        """Coordinates (n, *shape) of inputs (n, *input_shape)."""
        for part in self.parts:
            x = part(x)
        return x

    def blur(self, x, spill):
        """Bound on the errors of coordinates."""
        return 2 * gamma(self.roundings) * self.sums(np.abs(x), spill) if self.parts else np.zeros(x.shape)

    def sums(self, size, spill):
        """Upper bound on the absolute terms of coordinates of inputs of at most this size."""
        for part in self.parts:
            size = part.magnitude(size + spill) * (1.0 + 2 * part.gamma)
        return size

    def outward(self, low, high, spill):
        """Least and greatest coordinates of inputs (n, *input_shape) between two, rounded outward."""
        for part in self.parts:
            low, high = part.outward(low, high, spill)
        return low, high

    def cost(self, cost, norm):
        """What a change of each coordinate by 1 costs at least: *shape."""
        for part in self.parts:
            cost = part.cost(cost, norm)
        return cost
