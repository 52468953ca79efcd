"""Detectors of texts as a scikit-learn estimator."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields, replace
from typing import Any, ClassVar

import numpy as np
import polars as pl
from sklearn.utils.validation import check_is_fitted, validate_data
from torch import Tensor

from asymcert._checks import refuse
from asymcert._floats import undisturbed
from asymcert.certify import Certificate, certify
from asymcert.datasets import BinaryData
from asymcert.datasets.scaling import TableScaling
from asymcert.estimator.base import CPU, Detector
from asymcert.estimator.frames import as_texts, is_frame
from asymcert.evaluate.text import TextExplanation, explain_texts
from asymcert.models.text import TextClassifier
from asymcert.texts.codes import portions
from asymcert.texts.options import TextOptions
from asymcert.threats.table import TableThreat
from asymcert.training import train
from asymcert.training.models import kind_of

KIND, COLUMN = "text", "text"
RECIPE = (
    "target_words",
    "target_edits",
    "edits",
    "rising",
    "hidden",
    "dropout",
    "weight_decay",
    "learning_rate",
    "epochs",
    "batch_size",
)


class TextDetector(Detector):
    """Binary classifier of texts whose sensitive verdicts come with the number of words that it takes to undo them.

    A text is brought into a canonical form, in which look-alike letters, case, accents, invisible characters and
    spacing make no difference; words of a vocabulary and pairs of them are the features of a convex network.

    X is a list, an array or a series of texts, or a data frame of one column. Vectors that another model made of texts
    are for `FeatureConvexDetector`: its radii are then about vectors, and say nothing of changes of the texts.

    Parameters
    ----------
    sensitive : label, default=None
        The class an adversary wants to escape from ("spam"); by default the greater of the two labels.
    preset : {"text", "text-words", "text-edits", "text-monotone", "text-plain"}, default="text"
        Recipe of training: for added words and edits alike, for added words, for edits; so that no word speaks against
        the sensitive class; or for accuracy alone.
    target_words : int, default=None
        Added words whose worst choice counts in the loss. None, here and below: as the preset has it.
    target_edits : int, default=None
        Edits of words whose worst choice counts in the loss.
    edits : tuple of str, default=None
        Their kinds: some of "add", "remove", "replace".
    rising : {"none", "parts", "all"}, default=None
        Features that never speak against the sensitive class: none, pairs and parts of words, or all. With all, no
        addition of words undoes a verdict.
    hidden : tuple of int, default=None
        Widths of the network's hidden layers.
    dropout : float, default=None
        Share of features that training leaves out at random.
    weight_decay : float, default=None
        Decay of weights, apart from the gradient.
    learning_rate : float, default=None
        Peak of the schedule.
    epochs : int, default=None
        Passes over the training data.
    batch_size : int, default=None
        Texts per step.
    windows : {"whole", "sentences", "both"}, default="whole"
        What is scored: the text, each of its sentences, or both; the greatest score counts. With sentences, whole
        added sentences cannot undo the verdict on one of them.
    decoded : bool, default=False
        Score what parts of a text decode to as well.
    word_counts : int, default=1
        Up to how many occurrences of a word are told apart.
    word_pairs : bool, default=True
        Pairs of neighbouring words are features.
    word_parts : str, default=None
        Parts of words of such lengths are features, such as "3-4".
    fold_digits, fold_spacing, fold_repeats : bool
        Whether digits inside words are the letters that they look like, letters spaced apart are one word, and a letter
        many times in a row is one, which they all are by default.
    vocabulary : int, default=None
        Most features of a kind; 65536 by default.
    least_texts : int, default=2
        Texts that a word, pair or part must be in to be a feature.
    class_weight : dict, "balanced" or None, default=None
        What the classes weigh in training, as in scikit-learn; None as the preset has it. A dict also moves the
        threshold: the classes' shares of errors are then in the inverse ratio of their weights, unless `max_fpr` says
        where it is.
    max_fpr : float, default=None
        Most false alarms on the data held back, as a share; by default the threshold balances accuracies there.
    validation_fraction : float, default=0.2
        Share of each class that is held back for the threshold.
    random_state : int, RandomState or None, default=None
        Fixes split, initialisation and order.

    Attributes
    ----------
    classes_ : ndarray of shape (2,)
        The labels, sorted.
    sensitive_ : label
        The sensitive one of them.
    model_ : TextClassifier
        The network, on the features of texts.
    scaling_ : TableScaling
        How texts became features.

    Examples
    --------
    >>> from asymcert.estimator import TextDetector
    >>> spam = ["win a free prize now", "free cash, call now", "claim your prize, call free"] * 4
    >>> ham = ["see you at lunch", "are you home now?", "lunch at home, see you"] * 4
    >>> detector = TextDetector("spam", random_state=0).fit(spam + ham, ["spam"] * 12 + ["ham"] * 12)
    >>> detector.predict(["FRЕE  prize: call now!", "home for lunch?"]).tolist()
    ['spam', 'ham']
    >>> bool(detector.certify(["win a free prize now"], edits="add")[0] >= 1)  # one added word does not undo it
    True
    """

    balances: ClassVar[bool] = True

    model_: TextClassifier

    def __init__(
        self,
        sensitive: Any = None,
        *,
        preset: str = "text",
        target_words: int | None = None,
        target_edits: int | None = None,
        edits: Sequence[str] | None = None,
        rising: str | None = None,
        hidden: tuple[int, ...] | None = None,
        dropout: float | None = None,
        weight_decay: float | None = None,
        learning_rate: float | None = None,
        epochs: int | None = None,
        batch_size: int | None = None,
        windows: str = TextOptions.windows,
        decoded: bool = TextOptions.decoded,
        word_counts: int = TextOptions.word_counts,
        word_pairs: bool = TextOptions.word_pairs,
        word_parts: str | None = TextOptions.word_parts,
        fold_digits: bool = TextOptions.fold_digits,
        fold_spacing: bool = TextOptions.fold_spacing,
        fold_repeats: bool = TextOptions.fold_repeats,
        vocabulary: int | None = TextOptions.vocabulary,
        least_texts: int = TextOptions.least_texts,
        class_weight: Any = None,
        max_fpr: float | None = None,
        validation_fraction: float = 0.2,
        random_state: Any = None,
    ):
        self.sensitive = sensitive
        self.preset = preset
        self.target_words = target_words
        self.target_edits = target_edits
        self.edits = edits
        self.rising = rising
        self.hidden = hidden
        self.dropout = dropout
        self.weight_decay = weight_decay
        self.learning_rate = learning_rate
        self.epochs = epochs
        self.batch_size = batch_size
        self.windows = windows
        self.decoded = decoded
        self.word_counts = word_counts
        self.word_pairs = word_pairs
        self.word_parts = word_parts
        self.fold_digits = fold_digits
        self.fold_spacing = fold_spacing
        self.fold_repeats = fold_repeats
        self.vocabulary = vocabulary
        self.least_texts = least_texts
        self.class_weight = class_weight
        self.max_fpr = max_fpr
        self.validation_fraction = validation_fraction
        self.random_state = random_state

    def certify(self, X: Any, edits: Mapping[str, float] | Sequence[str] | str = "add", **how: Any) -> np.ndarray:
        """How many words can be edited in each text without undoing its verdict, whichever they are: (n,), float64.

        Parameters
        ----------
        X
            Texts.
        edits
            Kinds of edits, some of "add", "remove" and "replace", which a misspelling is too; or the price of each.
        how
            The other arguments of `certificate`.

        Returns
        -------
        ndarray
            No edits of a total number, or price, of at most ``radius[i]`` make text i anything but sensitive; infinite
            where none do, 0 where it is not predicted sensitive.
        """
        parts = [part.to_series().to_list() for part in self._parts(X)]
        radii = [self.certificate(part, edits, **how).radius.numpy() for part in parts]
        return np.concatenate([np.empty(0), *radii])

    @undisturbed(CPU)
    def certificate(
        self,
        X: Any,
        edits: Mapping[str, float] | Sequence[str] | str = "add",
        *,
        protected: Sequence[str] = (),
        sentences: bool = False,
        marks_stay: bool | None = None,
        method: str | None = None,
        **options: Any,
    ) -> Certificate:
        """As `certify`, with margins and verdicts; of all texts at once.

        Parameters
        ----------
        X, edits
            As in `certify`; with `sentences` there may be no kind.
        protected
            Words that no edit takes out.
        sentences
            Whether any number of whole sentences is added besides; that takes `windows` of sentences.
        marks_stay
            Whether the marks between sentences are taken to stay as they are; by default where sentences are scored.
        method, options
            As in `asymcert.certify`.
        """
        check_is_fitted(self)
        assert self.scaling_.windows is not None
        kept = self.scaling_.windows.encoder.windows != "whole" if marks_stay is None else marks_stay
        kinds = [edits] if isinstance(edits, str) else edits
        threat = TableThreat(self.scaling_).words(kinds, protected, sentences=sentences, marks_stay=kept)
        return certify(self.model_, self._inputs(X), threat, method, **options)

    @undisturbed(CPU)
    def explain(self, X: Any, cuts: int = 1, search: bool = True) -> list[TextExplanation]:
        """What carries each verdict, how many edits it outlasts, and the cheapest edited text that is known to undo it.

        Parameters
        ----------
        X
            Texts.
        cuts
            Tangent planes of certificates; more take longer and prove more.
        search
            Whether to search for the cheapest edited text, which takes most of the time.
        """
        check_is_fitted(self)
        return explain_texts(self.model_, self._frame(X, reset=False).to_series().to_list(), cuts, search)

    def _train(self, data: BinaryData, seed: int) -> TextClassifier:
        chosen = {name: value for name in RECIPE if (value := getattr(self, name)) is not None}
        chosen |= {} if self.epochs is None else {"validate_every": self.epochs}
        chosen |= {"sensitive_weight": 1.0} if self.class_weight == "balanced" else {}
        recipe = kind_of(KIND).recipe(data, self.preset, false_positive_rate=self._rate, **chosen)
        return train(data, KIND, config=recipe, seed=seed)

    def _frame(self, X: Any, reset: bool) -> pl.DataFrame:
        texts = as_texts(X)
        if reset and not texts:
            raise refuse("X", "made of texts", "0 samples", "Provide some of both classes.")
        if is_frame(X):
            validate_data(self, X, reset=reset, skip_check_array=True)
        elif reset:
            self.n_features_in_ = 1
            vars(self).pop("feature_names_in_", None)
        (name,) = getattr(self, "feature_names_in_", [COLUMN])
        return pl.DataFrame({name: pl.Series(texts, dtype=pl.String)})

    def _scaled(self, frame: pl.DataFrame) -> tuple[Tensor, TableScaling]:
        options = TextOptions(**{item.name: getattr(self, item.name) for item in fields(TextOptions)})
        scaling = TableScaling.fit(frame, texts=options, windows=True)
        assert scaling.windows is not None
        x = scaling.transform(frame)
        return x, replace(scaling, columns=(replace(scaling.windows, width=x.shape[1]),))

    @undisturbed(CPU)
    def _margin(self, X: Any) -> np.ndarray:
        check_is_fitted(self)
        margins = [self.model_.margin(self.scaling_.transform(part)).numpy() for part in self._parts(X)]
        return np.concatenate([np.empty(0), *margins])

    def _parts(self, X: Any) -> Iterator[pl.DataFrame]:
        """Texts as frames, so many at a time as memory has room for."""
        frame = self._frame(X, reset=False)
        for part in portions(frame.to_series().str.len_chars().to_list()):
            yield frame[part]

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.string = True
        tags.input_tags.two_d_array = False
        return tags
