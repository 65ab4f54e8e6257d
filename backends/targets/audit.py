"""What the types of ``snnc.ir.target`` cannot say about a target file: evidence and formulas."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from typing import Any

from snnc.backends.targets.expression import names_in
from snnc.ir.errors import TargetError
from snnc.ir.target import KERNEL_COUNTS

CORE_NAMES = frozenset({
    "n_neurons", "n_compartments", "n_axons_in", "n_axons_out", "n_synapses", "max_fan_in",
    "max_targets_per_neuron", "weight_bits", "state_bytes",
})  # fmt: skip
AXON_NAMES = frozenset({"f", "span", "weight_bits", "delay_bits", "index_bits"})
KERNEL_AXON_NAMES = AXON_NAMES - {"f", "span"}
KERNEL_NAMES = frozenset({"taps", "weight_bits"})
LAYER_NAMES = frozenset({"c_in", "c_out", "k_h", "k_w", "in_h", "in_w", "out_h", "out_w"})
# Evidence that is nothing without the document it comes from.
_CITED = frozenset({
    "tool_code", "vendor_code", "vendor_doc", "paper", "paper_quoted", "abstract", "fitted",
})  # fmt: skip
# PyYAML wants a dot and a signed exponent; it reads other numbers as text.
_TEXT_NUMBER = re.compile(r"[-+]?(\d[\d_]*\.?\d*|\.\d+)[eE][-+]?\d+")
_EVIDENCED = ("core.weight", "neuron", "topology", "layers.limits")
_EVIDENCED_IN = ("neuron.reset.", "layers.resources.")
MAX_DEPTH = 20


def audit(data: dict[str, Any]) -> list[str]:
    """All problems of a target document beyond its types, each starting with its field."""
    sources = data.get("sources")
    known = set(sources) if isinstance(sources, dict) else set()
    problems = []
    for path, value in _walk(data):
        if isinstance(value, str):
            problems += _text_problems(path, value)
        elif isinstance(value, float) and not math.isfinite(value):
            problems.append(f"{path}: {value} is no finite number; write null for what is unknown")
        elif isinstance(value, dict):
            problems += _evidence_problems(path, value, known)
    return problems + list(_expression_problems(data))


def _walk(value: Any, path: str = "", depth: int = 0) -> Iterator[tuple[str, Any]]:
    yield path, value
    if depth > MAX_DEPTH:
        return
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _walk(item, f"{path}.{key}" if path else str(key), depth + 1)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _walk(item, f"{path}.{index}", depth + 1)


def _text_problems(path: str, value: str) -> list[str]:
    if _TEXT_NUMBER.fullmatch(value.strip()):
        fixed = f"{float(value.replace('_', '')):e}"
        return [f"{path}: YAML reads {value} as text; write it with a dot and a sign, {fixed}"]
    return []


def _evidence_problems(path: str, record: dict[str, Any], known: set[str]) -> list[str]:
    problems = []
    for src, ev in (("src", "ev"), ("barrier_src", "barrier_ev"), ("synops_src", "synops_ev")):
        source, evidence = record.get(src), record.get(ev)
        if source and source not in known:
            listed = ", ".join(sorted(known)) or "none"
            problems.append(f"{path}.{src}: unknown source {source!r} (declared: {listed})")
        if evidence in _CITED and not source:
            problems.append(f"{path}.{src}: evidence {evidence!r} needs a source")
    if "v" in record:
        problems += _quantity_problems(path, record)
    elif (path in _EVIDENCED or path.startswith(_EVIDENCED_IN)) and not record.get("ev"):
        problems.append(f"{path}.ev: missing evidence class")
    elif {"energy", "latency"} & set(record):
        priced = any(record.get(term) is not None for term in ("energy", "latency"))
        if priced == (record.get("ev", "unknown") == "unknown"):
            problems.append(f"{path}.ev: a price has evidence, a missing price is 'unknown'")
    if record.get("synops_per_s") and not record.get("synops_ev"):
        problems.append(f"{path}.synops_ev: missing evidence class")
    if record.get("barrier_s") and not record.get("barrier_ev"):
        problems.append(f"{path}.barrier_ev: missing evidence class")
    return problems


def _quantity_problems(path: str, record: dict[str, Any]) -> list[str]:
    evidence = record.get("ev")
    if evidence is None:
        return [f"{path}.ev: missing evidence class"]
    if record["v"] is None and evidence != "unknown":
        return [f"{path}: v is null, so the evidence is 'unknown', not {evidence!r}"]
    if record["v"] is not None and evidence == "unknown":
        return [f"{path}: a value of unknown evidence; write null, or 'assumed' and say so"]
    return []


def _expression_problems(data: dict[str, Any]) -> Iterator[str]:
    layers = data.get("layers")
    memories = layers.get("resources") if isinstance(layers, dict) else None
    for name, memory in memories.items() if isinstance(memories, dict) else ():
        if isinstance(memory, dict):
            yield from _check(f"layers.resources.{name}.use", memory.get("use"), LAYER_NAMES)
    core = data.get("core")
    resources = core.get("resources") if isinstance(core, dict) else None
    counted = core_names(core.get("encodings")) if isinstance(core, dict) else CORE_NAMES
    for name, resource in resources.items() if isinstance(resources, dict) else ():
        if not isinstance(resource, dict):
            continue
        path = f"core.resources.{name}"
        per_axon = resource.get("use_per_axon")
        for key in ("use", "lower_bound"):
            yield from _check(f"{path}.{key}", resource.get(key), counted)
        for key, text in per_axon.items() if isinstance(per_axon, dict) else ():
            allowed = KERNEL_AXON_NAMES if key == "kernel" else AXON_NAMES
            yield from _check(f"{path}.use_per_axon.{key}", text, allowed)
        yield from _check(f"{path}.use_per_kernel", resource.get("use_per_kernel"), KERNEL_NAMES)
        if resource.get("use") and per_axon:
            yield f"{path}: give either use or use_per_axon, not both"


def core_names(encodings: Any) -> frozenset[str]:
    """What the formulas of a core with these encodings may count."""
    kernels = isinstance(encodings, list | tuple) and "kernel" in encodings
    return CORE_NAMES | set(KERNEL_COUNTS) if kernels else CORE_NAMES


def _check(path: str, text: Any, allowed: frozenset[str]) -> Iterator[str]:
    if not isinstance(text, str):
        return
    try:
        unknown = names_in(text) - allowed
    except TargetError as error:
        yield f"{path}: {error.problem}: {error.found} in {error.where!r}"
        return
    if unknown:
        yield f"{path}: unknown name {', '.join(sorted(unknown))} (allowed: {_list(allowed)})"


def _list(names: frozenset[str]) -> str:
    return ", ".join(sorted(names))
