"""A model file as a network: which frontend reads it, and the options that concern its kind."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields
from pathlib import Path
from typing import Any

from snnc.compiler.frontends import (
    NetxOptions,
    NirOptions,
    OnnxOptions,
    TorchOptions,
    is_netx,
    is_onnx,
    is_torch,
    netx,
    nir,
    onnx,
    require_nir,
    torch_files,
)
from snnc.compiler.options import CompileOptions
from snnc.ir.errors import OptionError
from snnc.ir.integer_network import IntegerNetwork
from snnc.ir.network import Network
from snnc.ir.target import Target

TORCH_OPTIONS = ("constructor", "time_axis")
NETX_OPTIONS = ("input_layer", "spike_exponent")
CONVERSION = ("conversion", "percentile", "levels")
"""Options of ANNs."""
GRADED_LEVELS = 15
"""Spikes per step of a converted neuron where a spike carries its count."""


def read_model(path: Path, options: CompileOptions) -> Network | IntegerNetwork:
    """The network of a file, by the frontend that reads it; of an ANN, without data, its structure.

    Raises:
        OptionError: an option that does not apply to this kind of file; else as the frontend.
    """
    if is_netx(path):
        return netx.read(path, netx_options(options))
    if is_torch(path):
        return torch_files.read(path, torch_options(options))
    if is_onnx(path):
        return onnx.preview(onnx.read_file(path), onnx_options(options))
    require_nir(path)
    return nir.read(path, nir_options(options))


def read_finished(path: Path, options: CompileOptions) -> Network | IntegerNetwork:
    """As ``read_model``, for those who run or write the network: an ANN is no network yet.

    Raises:
        InputError: an ANN, whose thresholds need data; else as ``read_model``.
    """
    if is_onnx(path):
        return onnx.lower(onnx.read_file(path), onnx_options(options), onnx.no_data).network
    return read_model(path, options)


def nir_options(options: CompileOptions) -> NirOptions:
    """The part of the options that completes a ``.nir`` file; it validates the values.

    Raises:
        OptionError: an option of other files was given.
    """
    _only_for(options, NETX_OPTIONS, ".net", "a NIR file's input is what its first node reads")
    _only_for(options, TORCH_OPTIONS, "PyTorch", "a NIR file holds a whole network")
    _only_for(options, CONVERSION, ".onnx", "a NIR file's neurons have thresholds")
    named: dict[str, Any] = {f.name: getattr(options, f.name) for f in fields(NirOptions)}
    return NirOptions(**named)


def netx_options(options: CompileOptions) -> NetxOptions:
    """The part of the options that completes a ``.net`` file; it validates the values.

    Raises:
        OptionError: an option of other files was given.
    """
    _only_for(options, CONVERSION, ".onnx", "a .net file holds integers with one meaning")
    others = (
        *(f.name for f in fields(NirOptions)),
        "weight_bits",
        "memory_budget",
        "correct",
        "leak",
    )
    _only_for(options, others, ".nir", "a .net file holds integers with one meaning")
    _only_for(options, TORCH_OPTIONS, "PyTorch", "a .net file holds a whole network")
    named: Any = options.input_layer
    return NetxOptions(named, options.spike_exponent)


def torch_options(options: CompileOptions) -> TorchOptions:
    """The part of the options that completes a PyTorch file; it validates the values.

    Raises:
        OptionError: an option of other files was given.
    """
    others = tuple(f.name for f in fields(NirOptions))
    _only_for(options, others, ".nir", "a PyTorch model says how its neurons behave")
    _only_for(options, NETX_OPTIONS, ".net", "a PyTorch model's input is what it is called with")
    _only_for(options, CONVERSION, ".onnx", "a PyTorch model's neurons have thresholds")
    return TorchOptions(options.constructor, options.time_axis, options.timesteps)


def onnx_options(options: CompileOptions, target: Target | None = None) -> OnnxOptions:
    """The part of the options that concerns a ``.onnx`` file; it validates the values.

    Where spikes carry a payload, neurons send several levels at once unless ``levels`` says else.

    Raises:
        OptionError: an option of other files was given.
    """
    others = tuple(f.name for f in fields(NirOptions))
    _only_for(options, others, ".nir", "an ONNX file says what its operators do")
    _only_for(options, NETX_OPTIONS, ".net", "an ONNX file names its inputs")
    _only_for(options, TORCH_OPTIONS, "PyTorch", "an ONNX file holds a whole network")
    levels = options.levels
    if levels is None and target is not None and target.spike.payload_bits:
        most = (1 << target.spike.payload_bits) - 1
        levels = min(target.neuron.levels or GRADED_LEVELS, most, GRADED_LEVELS)
    method: Any = options.conversion
    usual = OnnxOptions()
    return OnnxOptions(method, options.percentile, levels, options.timesteps or usual.timesteps)


def _only_for(options: CompileOptions, names: Iterable[str], suffix: str, why: str) -> None:
    """Raise unless every one of the options has its default."""
    default = CompileOptions()
    for name in names:
        if getattr(options, name) != getattr(default, name):
            raise OptionError(
                f"the option applies to {suffix} files only",
                where=f"--{name.replace('_', '-')}",
                found=getattr(options, name),
                remedy=f"leave it out: {why}",
            )
