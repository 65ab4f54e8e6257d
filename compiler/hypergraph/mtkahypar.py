"""Mt-KaHyPar (Gottesbueren, Heuer et al.; MIT licence), the strong option when it is installed."""

from __future__ import annotations

import importlib
import os
from typing import Any

import numpy as np

from snnc.compiler.hypergraph.model import Hypergraph
from snnc.ir.arrays import IntArray
from snnc.ir.errors import MissingPackageError

LARGEST_WEIGHT = 10_000
"""Its weights are integers: the largest rate becomes this many."""


def load() -> Any:
    """The library's module.

    Raises:
        MissingPackageError: it is not installed, or does not load.
    """
    try:
        return importlib.import_module("mtkahypar")
    except ImportError as error:
        raise MissingPackageError(
            "the Mt-KaHyPar partitioner is not installed",
            where="--partitioner mtkahypar",
            found=str(error),
            remedy="pip install 'snnc[partition]', or take --partitioner own",
        ) from None


def cut(
    graph: Hypergraph, blocks: int, capacity: int, seed: int, *, quality: bool = False
) -> IntArray:
    """[vertices] block of every vertex, for the connectivity metric; deterministic per seed.

    Raises:
        MissingPackageError: as ``load``.
    """
    library = load()
    engine = _started(library)
    preset = library.PresetType
    context = engine.context_from_preset(
        preset.DETERMINISTIC_QUALITY if quality else preset.DETERMINISTIC
    )
    room = capacity * blocks / max(int(graph.vertex_weight.sum()), 1)
    context.set_partitioning_parameters(blocks, max(room - 1, 1e-6), library.Objective.KM1)
    context.logging = False
    library.set_seed(seed)
    peak = float(graph.net_weight.max(initial=0.0)) or 1.0
    equal = bool((graph.net_weight == graph.net_weight[:1]).all())
    scale = 1 / peak if equal else LARGEST_WEIGHT / peak
    weight = np.maximum(np.rint(graph.net_weight * scale), 1).astype(np.int64)
    nets = [part.tolist() for part in np.split(graph.pin, graph.net_ptr[1:-1])]
    hypergraph = engine.create_hypergraph(
        context, graph.vertices, graph.nets, nets, graph.vertex_weight.tolist(), weight.tolist()
    )
    return np.array(hypergraph.partition(context).get_partition(), np.int64)


_engine: list[Any] = []


def _started(library: Any) -> Any:
    """The library may be started once per process."""
    if not _engine:
        _engine.append(library.initialize(len(os.sched_getaffinity(0)), False))
    return _engine[0]
