"""Small random ReLU classifiers."""

import torch
from torch import nn

from asymcert.models.relu import ReluClassifier, relu_network


def random_relu(seed=0, inputs=6, widths=(8,)):
    """Weights of about unit gain, so that bounds differ; inputs are those of the unit cube."""
    torch.manual_seed(seed)
    network = relu_network((inputs,), widths)
    for layer in network:
        if isinstance(layer, nn.Linear):
            nn.init.normal_(layer.weight, std=1.5 / layer.weight.shape[1] ** 0.5)
            nn.init.normal_(layer.bias, std=0.3)
    return ReluClassifier.fold(network, input_shape=(inputs,))


def balanced(seed, widths=(8,), n=6):
    """A model with its threshold at the median, and n inputs."""
    model = random_relu(seed, widths=widths)
    x = torch.rand(n, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    return model.with_threshold(float(model.margin(x).median())), x
