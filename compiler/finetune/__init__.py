"""A few epochs of training with the weights rounded as a target will round them.

Nothing here imports torch until ``finetune`` is called; ``pip install "snnc[torch]"`` brings it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from snnc.backends.targets import load_sound
from snnc.compiler.finetune.supported import require_supported
from snnc.compiler.frontends.torch import require_torch
from snnc.compiler.normalise import normalise
from snnc.compiler.quantize import QuantizeOptions
from snnc.ir.arrays import AnyArray, RealArray
from snnc.ir.errors import InputError, OptionError
from snnc.ir.network import Network
from snnc.ir.nodes import Input
from snnc.ir.target import Target
from snnc.simulators.inputs import check_extents

__all__ = ["finetune"]


def finetune(
    network: Network,
    data: AnyArray | Mapping[str, AnyArray],
    labels: AnyArray,
    *,
    target: str | Path | Target,
    weight_bits: int = 4,
    epochs: int = 3,
    learning_rate: float = 1e-3,
    batch_size: int = 32,
    seed: int = 0,
) -> Network:
    """Train the weights of a network on the grids that ``compile`` will round them to.

    Adam on the cross entropy of the decoded output.  The weights are rounded in every pass, to
    the grids that the quantizer chooses at the start of each epoch; the gradient passes the
    rounding unchanged and spikes by an arctangent.  Of the start and all epochs, the weights
    with the smallest loss on ``data`` are kept.  Weights that are zero stay so.

    Args:
        network: from a frontend, e.g. ``snnc.from_torch``.
        data: training samples [samples, steps, *shape], by input name where there are several.
        labels: [samples], the class of each.
        target: whose grids; a name, a file, or a description.
        weight_bits: width of a weight, 2 to 16.
        epochs: passes over the data; 0 only rounds.
        learning_rate: of Adam, relative to the largest weight of each operator.
        batch_size: samples per step of Adam.
        seed: of the order of the samples; same seed, same result on the same machine.

    Returns:
        The normalised network (scales and constants folded) with its weights on the grid, so
        that quantizing it at this width for this target, with the same data for calibration,
        rounds no weight again.

    Raises:
        UnsupportedError: nodes without a gradient here or that the target cannot express.
        OptionError: PyTorch is missing, or an argument has a value that is not allowed; the
            training diverged.
        InputError: data or labels that do not fit the network.
    """
    _check_options(weight_bits, epochs, learning_rate, batch_size)
    folded = normalise(network)
    output = require_supported(folded)
    samples, classes = _checked(folded, data, labels, folded.shapes[output.name][0])
    machine = target if isinstance(target, Target) else load_sound(target)
    steps = next(iter(samples.values())).shape[1]
    options = QuantizeOptions(weight_bits, steps)
    options.largest_weight(machine)
    require_torch()
    from snnc.compiler.finetune.training import Training

    training = Training(folded, machine, options, samples, classes, learning_rate)
    return training.run(epochs, batch_size, seed)


def _check_options(weight_bits: int, epochs: int, learning_rate: float, batch_size: int) -> None:
    if not 2 <= weight_bits <= 16:
        raise OptionError(
            "fine-tuning rounds to whole steps",
            where="weight_bits", found=weight_bits, allowed="2 to 16",
        )  # fmt: skip
    if epochs < 0:
        raise OptionError("must not be negative", where="epochs", found=epochs)
    if batch_size < 1:
        raise OptionError("at least one sample", where="batch_size", found=batch_size)
    if not (learning_rate > 0 and math.isfinite(learning_rate)):
        raise OptionError("must be positive", where="learning_rate", found=learning_rate)


def _checked(
    network: Network, data: AnyArray | Mapping[str, AnyArray], labels: AnyArray, count: int
) -> tuple[dict[str, RealArray], AnyArray]:
    nodes = network.of_type(Input)
    if not isinstance(data, Mapping):
        data = {nodes[0].name: data}
    samples = {name: np.asarray(values) for name, values in data.items()}
    size, _ = check_extents(network.name, nodes, samples)
    for name, values in samples.items():
        if values.dtype.kind not in "fiub" or not np.isfinite(values).all():
            raise InputError("input values must be finite numbers", where=name, found=values.dtype)
    classes = np.asarray(labels)
    if classes.shape != (size,) or classes.dtype.kind not in "iu":
        raise InputError(
            "one whole number per sample", where="labels",
            found=f"{classes.dtype} {classes.shape}", allowed=f"integers ({size},)",
        )  # fmt: skip
    if not 0 <= classes.min() <= classes.max() < count:
        raise InputError(
            "no such class", where="labels",
            found=f"{classes.min()} to {classes.max()}", allowed=f"0 to {count - 1}",
        )  # fmt: skip
    return {name: values.astype(np.float64) for name, values in samples.items()}, classes
