"""A kind of model that can be trained by name: its recipe, its presets, its objective."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any

from asymcert._checks import check_choice, refuse
from asymcert.datasets import BinaryData
from asymcert.models.thresholds import choose_threshold
from asymcert.training.objective import Objective
from asymcert.training.recipe import Recipe
from asymcert.training.trainer import Build, fit


@dataclass(frozen=True)
class Kind:
    """A kind of model that can be trained by name.

    Parameters
    ----------
    name
        What it goes by.
    config
        Its recipe's class.
    build
        Its objective, with the arguments of `Objective`.
    presets
        Recipes by name: families of data sets, ``image`` and ``table`` for all others; or budgets, the first by
        default.
    texts
        Whether it is trained on texts, as lists of the features of their windows, and on nothing else.
    adapt
        Returns a preset's recipe, given its name, with what depends on the data.
    """

    name: str
    config: type[Recipe]
    build: Build
    presets: Mapping[str, Any]
    adapt: Callable[[Any, str, BinaryData], Any] = lambda recipe, preset, data: recipe
    texts: bool = False

    def recipe(self, data: BinaryData, preset: str | None = None, **overrides: Any) -> Any:
        """The recipe of a preset, by default the one of the data's family, with fields changed.

        Raises
        ------
        InputError
            The preset or a field is unknown, or a value is outside its range.
        """
        self.check(data)
        name = family_of(data, self.presets) if preset is None else preset
        check_choice("preset", name, tuple(self.presets))
        return self.adapt(self.presets[name], name, data).changed(f"model {self.name!r}", overrides)

    def train(self, data: BinaryData, preset: str | None = None, *, config: Any = None, **options: Any) -> Any:
        """Train a classifier of this kind; arguments and errors are those of `asymcert.train`."""
        self.check(data)
        if preset is not None and config is not None:
            raise refuse("config", "given without a preset", "both")
        if config is not None and not isinstance(config, self.config):
            wanted = f"a {self.config.__name__} for model {self.name!r}"
            raise refuse("config", wanted, f"a {type(config).__name__}", "Name the model it is for.")
        recipe = config if config is not None else self.recipe(data, preset)
        train, val = ((split.x, split.y.long()) for split in (data.train, data.val))
        origin = {"data": data.name, "data_digest": data.digest, "model": self.name}
        options["weights"] = data.train.weight

        def build(*arguments: Any) -> Objective:
            return self.build(*arguments).meet(data)

        trained = fit(build, recipe, train, val, 2, origin, owner=f"model {self.name!r}", **options)
        model = trained.deploy((data.other, data.sensitive)).to(next(trained.parameters()).device)
        model.scaling = data.scaling
        scores = model.scores(data.val.x)
        return model.cpu().placed_at(choose_threshold(trained.recipe.false_positive_rate, scores, data.val.y))

    def check(self, data: BinaryData) -> None:
        """Refuse texts for models of numbers, and anything else for those of texts."""
        if of_texts(data) and not self.texts:
            raise refuse("model", "'text' for texts", repr(self.name), "Or count hashed words: words=1024.")
        if self.texts and not of_texts(data):
            raise refuse("model", "another for data without texts", repr(self.name), "It takes one column of text.")

    def train_by_budget(
        self, data: BinaryData, *, budget: str | None = None, recipe: Any = None, **options: Any
    ) -> Any:
        """`train` as an earlier version called it: `budget` is the preset, `recipe` the config."""
        return self.train(data, budget, config=recipe, **options)


def of_texts(data: BinaryData) -> bool:
    """Whether samples are texts, as lists of the features of their windows; an `InputError` for what is no data."""
    if not isinstance(data, BinaryData):
        raise refuse("data", "BinaryData", type(data).__name__, "Arrays go into asymcert.estimator.")
    return data.scaling is not None and data.scaling.windows is not None


def family_of(data: BinaryData, presets: Collection[str]) -> str:
    """The first part of a named data set's name, or else ``image`` or ``table``, if presets have it, or the first."""
    named = data.name.split("-")[0] if data.scaling is None else "table"
    shaped = "image" if len(data.input_shape) > 1 else "table"
    return next((family for family in (named, shaped, "table") if family in presets), next(iter(presets)))
