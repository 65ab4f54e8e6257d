"""Value types and grids of the inputs, from calibration data."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from snnc.compiler.quantize.grids import exact_step
from snnc.compiler.quantize.options import QuantizeOptions
from snnc.ir.arrays import RealArray
from snnc.ir.errors import InputError
from snnc.ir.network import Network
from snnc.ir.nodes import Input
from snnc.ir.target import Target
from snnc.ir.types import ValueType, events

LARGEST = (1 << 31) - 1
"""Of counts in calibration data; sums of larger ones would not fit a register."""


def default_levels(target: Target) -> int:
    """Levels of a real-valued input: what one packet holds, or 15 packets at most."""
    spike = target.spike
    if not spike.payload_bits:
        return 15
    return max(1, min(255, (1 << (spike.payload_bits - int(spike.signed))) - 1))


def input_types(
    network: Network,
    target: Target,
    options: QuantizeOptions,
    calibration: Mapping[str, RealArray] | None,
) -> tuple[dict[str, ValueType], dict[str, str]]:
    """Types by input name, and the assumptions made.

    Args:
        network: whose inputs are typed.
        target: decides the default number of levels.
        options: ``input_levels``.
        calibration: by input name, [samples, steps, *shape]; None keeps the declared types.

    Raises:
        InputError: data of an unknown input, of a wrong shape, or not finite.
    """
    names = {node.name for node in network.of_type(Input)}
    if calibration is not None and not set(calibration) <= names:
        raise InputError(
            "calibration data for an unknown input",
            where="--calibration",
            found=", ".join(sorted(set(calibration) - names)),
            allowed=", ".join(sorted(names)),
        )
    types, assumptions = {}, {}
    for node in network.of_type(Input):
        data = (calibration or {}).get(node.name)
        if data is None:
            types[node.name] = node.type
            assumptions[f"input.{node.name}"] = (
                f"{node.type}, not calibrated: no data was given, larger values are refused at run"
            )
        else:
            levels = options.input_levels or default_levels(target)
            types[node.name], assumptions[f"input.{node.name}"] = _observed(node, data, levels)
    return types, assumptions


def _observed(node: Input, data: RealArray, levels: int) -> tuple[ValueType, str]:
    _check(node, data)
    low, high = float(data.min()), float(data.max())
    # Sample by sample: a calibration set can be larger than all the rest of a compilation.
    if data.dtype.kind in "iub" or all(bool((x == np.rint(x)).all()) for x in data):
        if max(-low, high) > LARGEST:
            raise InputError(
                "calibration data with whole numbers too large for counts of spikes",
                where=node.name,
                found=f"[{low:g}, {high:g}]",
                allowed=f"up to {LARGEST:,} either way",
                remedy="scale the data as in training, or check its units",
            )
        kind = events(int(min(low, 0)), int(max(high, 0)) or int(low == 0))
        return kind, f"{kind} from calibration data with integers in [{low:g}, {high:g}]"
    largest = max(abs(low), abs(high))
    step = _common_step(data, 2 * levels)
    if step is not None:
        most = round(largest / step)
        kind = events(-most if low < 0 else 0, most, (step,))
        return kind, f"values in [{low:g}, {high:g}] are multiples of {step:.9g}: {kind}, exact"
    kind = events(-levels if low < 0 else 0, levels, (largest / levels,))
    return kind, (
        f"real values in [{low:g}, {high:g}] are rounded to {levels} levels of "
        f"{largest / levels:.9g}"
    )


def _common_step(data: RealArray, most: int) -> float | None:
    """The step of which all values are multiples, at most ``most`` of it; None without one.

    Fewer than three different values besides 0 do not show a step.
    """
    seen = np.zeros(0)
    for sample in data:
        seen = np.unique(np.concatenate([seen, np.abs(sample, dtype=np.float64).reshape(-1)]))
        if seen.size > most + 1:
            return None
    if np.count_nonzero(seen) < 3:
        return None
    return exact_step(seen, most, np.zeros(0), np.zeros(0))


def _check(node: Input, data: RealArray) -> None:
    if data.ndim != len(node.shape) + 2 or data.shape[2:] != node.shape or 0 in data.shape:
        raise InputError(
            "calibration data has the wrong shape",
            where=node.name,
            found=data.shape,
            allowed=f"[samples, steps, {', '.join(map(str, node.shape))}]",
        )
    if data.dtype.kind not in "fiub" or not all(bool(np.isfinite(x).all()) for x in data):
        raise InputError(
            "calibration data must be finite numbers",
            where=node.name,
            found=f"NaN, inf or {data.dtype}",
        )
