"""Argument checks with one message form: "`name` must be X, got Y. Remedy."; modules of the user's own, checked too."""

from __future__ import annotations

import difflib
import math
import textwrap
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import field
from numbers import Integral, Real
from types import UnionType
from typing import Any, Self, Union, cast, get_args, get_origin, get_type_hints

import torch
from torch import Tensor, nn

from asymcert.errors import InputError

LONGEST = 500  # characters of a value that a message shows
ALONE = 4  # samples of a module that are run by themselves, to see whether others make a difference
MEASURED = 1e-9  # rounding in float64 that differs between batches, relative
EXACT = 2.0**53  # from here on not every integer is a float64
REAL = {torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.bool}
REAL |= {torch.uint8, torch.int8, torch.int16, torch.int32, torch.int64}


def option(
    default: Any, help_text: str, choices: tuple[str, ...] | None = None, low: float = 0.0, flags: tuple[str, ...] = ()
) -> Any:
    """A field of a dataclass that the command line offers as an option with this help; numbers are at least `low`.

    `flags` are spellings that it has there before the field's name.
    """
    return field(default=default, metadata={"help": help_text, "choices": choices, "low": low, "flags": flags})


def refuse(name: str, must_be: str, got: object, remedy: str = "") -> InputError:
    """Return (not raise) the error for argument `name`."""
    shown = str(got)
    shown = shown if len(shown) <= LONGEST else f"{shown[:LONGEST]} ..."
    message = f"`{name}` must be {must_be}, got {shown}."
    return InputError(f"{message} {remedy}".rstrip())


def check_choice(name: str, value: object, choices: Collection[str]) -> None:
    """Refuse a value that is none of `choices`."""
    if value not in choices:
        raise refuse(name, f"one of {sorted(choices)}", repr(value), did_you_mean(value, choices))


def check_known(given: Mapping[str, object], known: Collection[str], owner: str) -> None:
    """Refuse keywords that are none of those that `owner` takes."""
    for name, value in given.items():
        if name not in known:
            remedy = did_you_mean(name, known) or f"It takes {', '.join(known)}."
            raise refuse(name, f"left out for {owner}", value, remedy)


def did_you_mean(value: object, known: Collection[str], cutoff: float = 0.6) -> str:
    """The remedy for a name that is not known: the one most like it, or nothing."""
    close = difflib.get_close_matches(str(value).lower(), [str(name) for name in known], 1, cutoff)
    return f"Did you mean {close[0]}?" if close else ""


def check_number(
    name: str, value: object, low: float = -math.inf, high: float = math.inf, *, open_low: bool = False
) -> None:
    """Refuse what is not a real number in [low, high], or (low, high] if `open_low`."""
    bracket = "(" if open_low else "["
    must_be = f"a number in {bracket}{low:g}, {high:g}]"
    if isinstance(value, bool) or not isinstance(value, Real):
        raise refuse(name, must_be, repr(value))
    try:
        number = float(value)
    except OverflowError:
        raise refuse(name, must_be, "a number beyond all floats") from None
    if not low <= number <= high or (open_low and number == low):
        raise refuse(name, must_be, repr(value))


def check_count(name: str, value: object, low: int = 1) -> None:
    """Refuse what is not an integer of at least `low`."""
    if isinstance(value, bool) or not isinstance(value, Integral) or value < low:
        raise refuse(name, f"an integer of at least {low}", repr(value))


def several(given: object) -> tuple[Any, ...]:
    """One value or several, as a tuple; None is none."""
    return () if given is None else tuple(given) if isinstance(given, list | tuple) else (given,)


def check_types(described: Any, values: Mapping[str, Any]) -> None:
    """Refuse values that came from JSON and are not of the types that a dataclass or a function declares."""
    for name, hint in get_type_hints(described).items():
        if name in values and not _is_of(values[name], hint):
            wanted = hint.__name__ if isinstance(hint, type) else hint
            raise refuse(name, f"of type {wanted}", repr(values[name])[:80])


def _is_of(value: object, hint: Any) -> bool:
    kind, inner = get_origin(hint) or hint, get_args(hint)
    if kind in (Union, UnionType):
        return any(_is_of(value, each) for each in inner)
    if kind in (tuple, Sequence):
        return isinstance(value, list) and all(_is_of(item, inner[0]) for item in value)
    if kind is dict:
        return isinstance(value, dict) and all(_is_of(item, inner[1]) for item in value.values())
    if kind is int:
        return type(value) is int and -(2**63) <= value < 2**63  # as generators and Int64 columns take it
    return kind in (Any, object) or type(value) is kind


def check_device(name: str | torch.device) -> torch.device:
    """Return the device of that name; refuse one that torch cannot use here."""
    try:
        device = torch.device(name)
        torch.zeros(1, device=device).item()  # `meta` holds no values
    except (RuntimeError, AssertionError) as error:
        reason = textwrap.shorten(str(error).partition(". ")[0], 120, placeholder=" ...")  # torch lists all backends
        raise refuse("device", "one that torch can use here", f"'{name}' ({reason})", "Use cpu.") from None
    return device


def check_norm(norm: object) -> float:
    """Return the norm p as a float; p must lie in [1, inf]."""
    check_number("norm", norm, 1.0)
    return float(cast(float, norm))


def check_finite(name: str, values: Tensor, remedy: str = "") -> None:
    """Refuse a tensor with NaN or infinite entries and say where the first one is."""
    finite = torch.isfinite(values)
    if not bool(finite.all()):
        first = (~finite).nonzero()[0].tolist()
        count = int((~finite).sum())
        raise refuse(name, "finite", f"{count} NaN or infinite entries, the first at {first}", remedy)


def check_weights(name: str, network: nn.Module) -> None:
    """Refuse a network with NaN or infinite weights; one without values (on the meta device) has none."""
    if not all(value.is_meta or bool(value.isfinite().all()) for value in network.state_dict().values()):
        raise refuse(name, "of finite weights", "NaN or infinite ones", "Training has diverged: train again.")


def check_inputs(x: Tensor, shape: tuple[int, ...], dtype: torch.dtype | None = None) -> Tensor:
    """Return `x` as a floating tensor of shape (n, *shape), refusing anything else.

    Integer tensors are converted to `dtype`, by default float64, which must hold them exactly: a certificate is about
    the input as given. Nothing is clipped or reshaped. What comes back are the values alone: no step of somebody's
    training, no subclass with an arithmetic of its own, nor (outside that) bound to inference mode.
    """
    if not isinstance(x, Tensor):
        raise refuse("x", "a torch.Tensor", type(x).__name__, "Convert it with torch.as_tensor(x).")
    wraps = type(x).__torch_dispatch__ is not Tensor.__torch_dispatch__  # pyright: ignore[reportAttributeAccessIssue]
    if x.layout != torch.strided or x.is_nested or x.is_meta or wraps or x.dtype not in REAL:
        layout = f"{str(x.layout).removeprefix('torch.')}{', nested' if x.is_nested else ''}"
        what = f"{type(x).__name__} of {x.dtype}, {layout}, on {x.device}"
        raise refuse("x", "a dense tensor of real numbers", what, "Convert it: x.to_dense().double().")
    if tuple(x.shape[1:]) != tuple(shape) or x.ndim == 0:
        want = f"a real tensor of shape (n, {', '.join(map(str, shape))})"
        remedy = "A single sample needs a batch dimension: x[None]." if x.shape == shape or x.ndim == 0 else ""
        raise refuse("x", want, f"{x.dtype} of shape {tuple(x.shape)}", remedy)
    if dtype is None and not x.is_floating_point():
        dtype = torch.float64
        if bool((x.to(dtype).abs() >= EXACT).any()):
            raise refuse("x", "made of integers below 2^53 in size", "greater ones", "Scale the input.")
    x = x.detach().as_subclass(Tensor)
    x = (x.clone() if x.is_inference() else x).to(x.dtype if dtype is None else dtype)
    check_finite("x", x, "Impute or drop missing values first.")
    return x


class Owner(nn.Module):
    """Holds a user's `module`, which stays in eval mode when the owner is set to training.

    In training mode dropout and batch normalisation would make a sample's values depend on chance and on its batch.
    """

    module: nn.Module

    def train(self, mode: bool = True) -> Self:
        """Of everything but the module."""
        super().train(mode)
        self.module.eval()
        return self


def check_given(module: Any, x: Any) -> None:
    """Refuse what is no module, and samples (n, *input_shape) that it cannot be tried on."""
    if not isinstance(module, nn.Module):
        remedy = "Build one of the class." if isinstance(module, type) else "Wrap a function in a module's forward."
        raise refuse("module", "a torch.nn.Module", type(module).__name__, remedy)
    if not isinstance(x, Tensor):
        raise refuse("x", "a tensor of samples", type(x).__name__, "Pass torch.as_tensor(x).")
    if x.ndim < 2 or len(x) == 0:
        raise refuse("x", "samples of shape (n, *input_shape), one at least", f"shape {tuple(x.shape)}")
    check_finite("x", x)


def output_of(module: nn.Module, x: Tensor, remedy: str = "") -> Tensor:
    """What a user's module makes of inputs, without gradients.

    Raises
    ------
    InputError
        It cannot run on them, of which its own error is told, or returns no tensor of numbers for each of them.
    """
    try:
        with torch.no_grad():
            found = module(x)
    except (RuntimeError, TypeError, ValueError, IndexError) as error:
        dtype = str(x.dtype).removeprefix("torch.")
        said = (str(error).splitlines() or [type(error).__name__])[0]
        raise refuse("module", f"able to run on `x` in {dtype}", said, remedy) from None
    if not isinstance(found, Tensor):
        raise refuse("module", "one that returns a tensor", type(found).__name__, "Wrap it, to return its scores.")
    if not found.is_floating_point() or found.shape[:1] != x.shape[:1]:
        got = f"{found.dtype} of shape {tuple(found.shape)}"
        raise refuse("module", f"of real values for each of {len(x)} samples", got)
    return found


def check_independent(run: Callable[[Tensor], Tensor], x: Tensor) -> None:
    """Refuse a module whose values of a sample depend on the others of its batch; x is (n, *input_shape), float64."""
    with torch.no_grad():
        together, alone = run(x)[:ALONE], torch.cat([run(row[None]) for row in x[:ALONE]])
    check_finite("module's values", together)
    if not torch.allclose(together, alone, rtol=MEASURED, atol=MEASURED):
        got = "others for the same samples in a batch and alone"
        raise refuse("module", "one whose values of a sample do not depend on other samples", got)
