"""What a core's counts cost on a target: the one place where resource formulas are evaluated.

The functions take plain counts; who counted them (mapper or checker) is not their business.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from snnc.backends.targets.expression import evaluate
from snnc.ir.arrays import IntArray
from snnc.ir.target import Encoding, Resource, Target

Kind = Literal["ok", "exceeded", "unchecked"]


@dataclass(frozen=True, eq=False)
class Usage:
    """Use of one resource.

    Attributes:
        used: [cores] amount used, or a lower bound when ``exact`` is false.
        available: capacity of a core; None = unknown.
        unit: of both.
        exact: the accounting is public.
    """

    used: IntArray
    available: int | None
    unit: str
    exact: bool = True

    @property
    def exceeded(self) -> npt.NDArray[np.bool_]:
        """[cores] bool: even what is known does not fit."""
        if self.available is None:
            return np.zeros(self.used.shape, np.bool_)
        return np.asarray(self.used > self.available)

    @property
    def kind(self) -> Kind:
        """Verdict over all cores: one that exceeds decides; else unknown facts do."""
        if self.exceeded.any():
            return "exceeded"
        return "ok" if self.exact and self.available is not None else "unchecked"


def core_usage(
    target: Target,
    counts: Mapping[str, IntArray | int],
    axon_use: Mapping[str, IntArray | int] | None = None,
) -> dict[str, Usage]:
    """Use of every resource of the target's core.

    Args:
        target: the machine.
        counts: by name (see ``ir.target.Resource``), one integer or [cores].
        axon_use: by resource that is accounted per axon: the sum over the core's axons.

    Raises:
        TargetError: a formula needs a count that is not given.
    """
    usage = {}
    for name, resource in target.core.resources.items():
        used = _used(name, resource, counts, axon_use or {})
        capacity = resource.capacity.v
        exact = used is not None and (resource.use or resource.use_per_axon) is not None
        usage[name] = Usage(
            np.atleast_1d(np.asarray(0 if used is None else used, np.int64)),
            None if capacity is None else int(capacity),
            resource.capacity.u,
            exact,
        )
    return usage


def _used(
    name: str,
    resource: Resource,
    counts: Mapping[str, IntArray | int],
    axon_use: Mapping[str, IntArray | int],
) -> IntArray | int | None:
    text = resource.use or resource.lower_bound
    if resource.use is None and resource.use_per_axon is not None:
        return axon_use.get(name)
    result: IntArray | int | None = None if text is None else evaluate(text, counts)
    return result


def axon_cost(
    resource: Resource,
    encoding: Encoding,
    f: IntArray,
    weight_bits: IntArray,
    delay_bits: IntArray,
    index_bits: IntArray,
    span: IntArray | None = None,
) -> IntArray:
    """Cost of each axon's row in one encoding, [axons]; ``f`` counts the entries it stores.

    ``span`` counts the slots from the first to the last target; None where it is ``f``.
    """
    text = (resource.use_per_axon or {})[encoding]
    variables = {
        "f": f,
        "span": f if span is None else span,
        "weight_bits": weight_bits,
        "delay_bits": delay_bits,
        "index_bits": index_bits,
    }
    return np.broadcast_to(np.asarray(evaluate(text, variables), np.int64), f.shape)


def kernel_cost(resource: Resource, taps: IntArray, weight_bits: IntArray) -> IntArray:
    """Cost of each kernel of so many weights, [kernels], beside that of its axons."""
    variables = {"taps": taps, "weight_bits": weight_bits}
    value = evaluate(resource.use_per_kernel or "0", variables)
    return np.broadcast_to(np.asarray(value, np.int64), taps.shape)


def weight_bits(target: Target, largest: int, input_shift: int) -> int | None:
    """Narrowest weight format for weights of absolute value ``largest`` at an input shift.

    None when no format holds them.
    """
    weight = target.core.weight
    need = max(
        1, int(largest).bit_length() + int(weight.signed), weight.min_bits_plus_shift - input_shift
    )
    return min((bits for bits in weight.bits if bits >= need), default=None)


def index_bits(target: Target, n_neurons: IntArray) -> IntArray:
    """[cores] narrowest index field that addresses every neuron slot of a core."""
    need = np.frexp(np.maximum(n_neurons, 1) - 1)[1].astype(np.int64)
    allowed = np.array(sorted(target.core.index_bits), np.int64)
    if not allowed.size:
        return np.asarray(need)
    return np.asarray(allowed[np.minimum(np.searchsorted(allowed, need), allowed.size - 1)])


def delay_bits(delay: IntArray) -> IntArray:
    """Bits of a field that holds each delay; none for delay 0."""
    return np.frexp(delay)[1].astype(np.int64)
