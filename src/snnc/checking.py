"""``snnc check`` and ``snnc inspect``: what the compiler makes of a model, node by node."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from snnc.analysing import AnalysisOptions, analyse_model
from snnc.backends import targets
from snnc.compiler.analysis import Analysis
from snnc.compiler.frontends import is_netx, is_onnx, is_torch, netx, nir, onnx, torch_files
from snnc.compiler.frontends.nir.build import SUPPORTED
from snnc.compiler.frontends.nir.hdf5 import read_file
from snnc.compiler.frontends.record import RawNode
from snnc.compiler.legalize import findings
from snnc.compiler.options import CompileOptions
from snnc.compiler.reading import netx_options, nir_options, onnx_options, torch_options
from snnc.ir import artifact
from snnc.ir.errors import SnncError
from snnc.ir.integer_network import IntegerNetwork, IntegerNode
from snnc.ir.network import Network, RealNode
from snnc.ir.target import Target
from snnc.results import CheckReport, Inspection, NodeVerdict

_WHOLE = "(network)"
ARTIFACT_SUFFIX = ".snnc"


def check_model(path: Path, target: str | None, options: CompileOptions) -> CheckReport:
    """The verdict on every node of a file; see ``snnc.check``."""
    machine = None if target is None else targets.load_sound(target)
    raw, lower = _opened(path, options)
    found = {} if is_netx(path) or is_onnx(path) else dict(_unknown_kinds(raw))
    assumptions: Mapping[str, str] = {}
    if not found:
        try:
            network = lower()
            assumptions = network.assumptions
            if machine is not None:
                found |= _by_target(raw, network, machine)
        except SnncError as error:
            found |= {verdict.node: verdict for verdict in [_verdict(raw, error)]}
    kinds = {name: node.kind for name, node in raw.items()}
    if is_torch(path) and assumptions:  # such a file has no nodes but those it becomes
        kinds = {node.name: type(node).__name__ for node in network.order}
    rows = [found.pop(name, NodeVerdict(name, kind, "ok")) for name, kind in kinds.items()]
    named = None if machine is None else machine.id
    return CheckReport(path.name, named, (*rows, *found.values()), assumptions)


def _opened(
    path: Path, options: CompileOptions
) -> tuple[Mapping[str, RawNode], Callable[[], Network | IntegerNetwork]]:
    """The records of a file by name, and the rest of reading it."""
    if is_netx(path):
        chosen = netx_options(options)
        layers = netx.read_file(path)
        return {layer.name: layer for layer in layers}, lambda: netx.lower(layers, chosen)
    if is_torch(path):
        return {}, lambda: torch_files.read(path, torch_options(options))
    if is_onnx(path):
        graph = onnx.read_file(path)
        wanted = onnx_options(options)
        return onnx.stored(graph), lambda: onnx.preview(graph, wanted)
    raw = read_file(path)
    return raw.nodes, lambda: nir.lower(raw, nir_options(options))


def inspect_model(path: Path, options: CompileOptions, wanted: AnalysisOptions) -> Inspection:
    """The network of a file, or what is stored in one that is refused; see ``snnc.inspect``."""
    target = None if wanted.target is None else targets.load_sound(wanted.target)
    if path.suffix.lower() == ARTIFACT_SUFFIX:
        return _inspect_artifact(path, options, wanted, target)
    raw, lower = _opened(path, options)
    try:
        network = lower()
    except SnncError as error:
        return _refused_model(path, options, raw, error)
    return _inspection(path.name, network, analyse_model(network, target, wanted, options))


def _inspect_artifact(
    path: Path, options: CompileOptions, wanted: AnalysisOptions, target: Target | None
) -> Inspection:
    """The integer network inside a compiled file, against the chip it was compiled for."""
    deployment = artifact.read_program(path)
    steps = wanted.timesteps or deployment.timesteps
    chosen = dataclasses.replace(wanted, timesteps=steps)
    analysis = analyse_model(deployment.network, target or deployment.target, chosen, options)
    return _inspection(path.name, deployment.network, analysis)


def _inspection(name: str, network: Network | IntegerNetwork, analysis: Analysis) -> Inspection:
    rows = tuple(_described(network, node) for node in network.order)
    return Inspection(name, rows, network.assumptions, analysis=analysis.as_dict())


def _refused_model(
    path: Path, options: CompileOptions, raw: Mapping[str, RawNode], error: SnncError
) -> Inspection:
    if is_netx(path) or is_onnx(path):
        layers = tuple(_stored_layer(layer) for layer in raw.values())
        return Inspection(path.name, layers, {}, error.as_dict())
    if is_torch(path):
        return Inspection(path.name, (), {}, error.as_dict())
    found = nir.describe(path, nir_options(options))
    rows = tuple(_stored(node, found["edges"]) for node in found["nodes"])
    return Inspection(path.name, rows, found["assumptions"], found["error"])


def _stored_layer(layer: RawNode) -> dict[str, Any]:
    """A layer of a ``.net`` or ``.onnx`` file as the file has it."""
    return {
        "name": layer.name,
        "kind": layer.kind,
        "inputs": list(layer.inputs),
        "output_shape": None,
        "parameters": {name: _brief(value) for name, value in layer.fields.items()},
    }


def _unknown_kinds(raw: Mapping[str, RawNode]) -> Iterator[tuple[str, NodeVerdict]]:
    for name, node in raw.items():
        if node.kind not in SUPPORTED:
            yield (
                name,
                NodeVerdict(
                    name, node.kind, "refused", "unknown node type",
                    allowed=", ".join(sorted(SUPPORTED)),
                    remedy="replace the layer before exporting",
                ),
            )  # fmt: skip


def _by_target(
    raw: Mapping[str, RawNode], network: Network | IntegerNetwork, machine: Target
) -> dict[str, NodeVerdict]:
    """What the target says about the nodes it does not simply accept, problems joined per node."""
    result: dict[str, NodeVerdict] = {}
    for finding in findings(network, machine):
        if finding.kind == "ok":
            continue
        kind = raw[finding.node].kind if finding.node in raw else finding.operator
        before = result.get(finding.node)
        problem = f"{before.problem}; {finding.reason}" if before else finding.reason
        refused = finding.kind == "refused" or (before is not None and before.verdict == "refused")
        remedy = finding.remedy or (before.remedy if before else "")
        result[finding.node] = NodeVerdict(
            finding.node, kind, "refused" if refused else "assumed", problem, remedy=remedy
        )
    return result


def _verdict(raw: Mapping[str, RawNode], error: SnncError) -> NodeVerdict:
    """An error as a verdict on the node it names, or on the network."""
    named = [name for name in raw if _names(error.where, name)]
    node = max(named, key=len) if named else _WHOLE
    kind = raw[node].kind if named else ""
    return NodeVerdict(
        node, kind, "refused", error.problem, error.found, error.allowed, error.remedy
    )


def _names(where: str, node: str) -> bool:
    words = where.replace("'", " ").replace(":", " ").replace(";", " ").replace(",", " ").split()
    return node in words or any(word.startswith(f"{node}.") for word in words)


def _stored(node: Mapping[str, Any], edges: list[list[str]]) -> dict[str, Any]:
    """A node as the file has it; its shape as far as the import came."""
    parameters = {}
    for label, field in node["fields"].items():
        summary = {key: value for key, value in field.items() if key != "dtype"}
        parameters[label] = field.get("value", summary)
    return {
        "name": node["name"],
        "kind": node["type"],
        "inputs": [source for source, sink in edges if sink == node["name"]],
        "output_shape": node["output_shape"],
        "parameters": parameters,
    }


def _described(network: Network | IntegerNetwork, node: RealNode | IntegerNode) -> dict[str, Any]:
    skipped = ("name", "inputs")
    fields = {
        field.name: _brief(getattr(node, field.name))
        for field in dataclasses.fields(node)
        if field.name not in skipped
    }
    return {
        "name": node.name,
        "kind": type(node).__name__,
        "inputs": list(node.inputs),
        "output_shape": list(network.shapes[node.name]),
        "parameters": {name: value for name, value in fields.items() if value is not None},
    }


def _brief(value: object) -> Any:
    """A parameter for people: arrays as shape and range, records by their fields."""
    if isinstance(value, np.ndarray):
        if value.size == 0:
            return None
        if value.size == 1:
            return value.reshape(-1)[0].item()
        low, high = value.min().item(), value.max().item()
        return low if low == high else {"shape": list(value.shape), "min": low, "max": high}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {f.name: _brief(getattr(value, f.name)) for f in dataclasses.fields(value)}
        return {"kind": type(value).__name__, **fields}
    if isinstance(value, tuple):
        return [_brief(item) for item in value]
    return value
