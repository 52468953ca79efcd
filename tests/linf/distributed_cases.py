"""Small runs that one process and several must end alike; as a script, under torchrun, they leave results in a folder.

The optimiser's epsilon is large: steps then are continuous in the gradient, so that rounding stays rounding.
"""

import json
import runpy
import sys
from pathlib import Path

import torch
from safetensors.torch import save_file

from asymcert.datasets import BinaryData, Split
from asymcert.errors import InputError, RunError
from asymcert.training import checkpoint, linf_nets
from asymcert.training.distributed import Processes, process_group
from asymcert.training.linf_config import LinfConfig
from asymcert.training.linf_objectives import objective_for

EXAMPLE = Path(__file__).parents[2] / "examples" / "linf_distributed.py"

BASE = {"width": 12, "depth": 3, "epochs": 4, "batch_size": 33, "epsilon": 0.1, "adam_epsilon": 1e-2}
CASES = {
    "mixed": LinfConfig(**BASE, sensitive_weight=3.0, epsilon_other=0.05),
    "hinge": LinfConfig(**BASE, loss="hinge", weight_decay=0.01),
    "head": LinfConfig(**BASE, head=5),
    "images": LinfConfig(**BASE, convolutions=((2, 3, 1),), crop=1, flip=True),
    "convex": LinfConfig(**BASE, convex=(6,), features=5),
}


def samples(seed=0, n=105):
    """Images of two classes, of one row and of which the second is brighter on the right."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(2, (n,), generator=generator)
    x = 0.4 + 0.1 * torch.rand(n, 1, 4, 4, generator=generator)
    x[..., 2:] += 0.3 * labels[:, None, None, None]
    return x, labels


def data():
    """The same with names."""
    train, val = (Split(x, labels.bool()) for x, labels in (samples(), samples(1)))
    return BinaryData("rows", train, val, val, "bright", "dark")


def trained(name, **options):
    """A case's contents after training, and the records of its epochs."""
    records = []
    model = linf_nets.train_linf(data(), CASES[name], on_epoch=records.append, **options)
    return model.contents()[0] | {"threshold": torch.tensor(model.threshold, dtype=torch.float64)}, records


def gradients(name, processes=None):
    """Loss, gradients and running means of one batch in float64, by all processes together."""
    processes = processes or Processes.current()
    torch.manual_seed(0)
    x, labels = samples(2, n=17)
    objective = objective_for(CASES[name], x).double().train()
    objective.net.p, objective.mix = 3.0, 0.3
    loss_of = processes.shared(objective, objective.partly_used)
    weight = processes.weight(objective.weights(labels).double())
    loss = loss_of(processes.share(x.double()), processes.share(labels), torch.Generator()) * weight
    loss.backward()
    found = {f"gradient.{key}": value.grad for key, value in objective.named_parameters() if value.grad is not None}
    running = {f"running.{key}": value for key, value in objective.named_buffers()}
    return {"loss": processes.total(loss.detach()) / processes.count} | found | running


def main(folder):
    """Every case, each process leaving what it found, and then the example, in the group that there is."""
    with process_group("cpu"):
        rank = Processes.current().rank
        for name in CASES:
            model, records = trained(name)
            save_file(model, folder / f"{name}.{rank}")
            (folder / f"{name}.records.{rank}").write_text(json.dumps(records))
            save_file(gradients(name), folder / f"{name}.gradients.{rank}")
        checkpoint.CHECKPOINT_SECONDS = 0.0
        model, _ = trained("mixed", checkpoint=folder / "begun_by_one")
        save_file(model, folder / f"continued.{rank}")
        trained("mixed", checkpoint=folder / "finished_by_two")
        refusals = refusal(batch_size=1), refusal(checkpoint=folder / "begun_by_one" if rank else None)
        (folder / f"refusals.{rank}").write_text("\n".join(refusals))
        runpy.run_path(str(EXAMPLE), run_name="__main__")


def refusal(**options):
    """What is said instead of training."""
    try:
        trained("mixed", **options)
    except (InputError, RunError) as error:
        return str(error)
    return "none"


if __name__ == "__main__":
    main(Path(sys.argv[1]))
