"""Write NIR files with h5py, well-formed or broken, so that tests need no other package."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import h5py
import numpy as np

NodeSpec = dict[str, Any]
Edges = Iterable[tuple[str, str]]


def node(kind: str, **fields: Any) -> NodeSpec:
    """One node; arrays are stored as given, texts as texts."""
    return {"type": kind, **fields}


def graph(nodes: Mapping[str, NodeSpec], edges: Edges) -> NodeSpec:
    """A nested graph, to be used as a node."""
    return {"type": "NIRGraph", "nodes": dict(nodes), "edges": list(edges)}


def write(path: Path, nodes: Mapping[str, NodeSpec], edges: Edges, version: str = "1.0.8") -> Path:
    """Write a file in the layout of nir.write."""
    with h5py.File(path, "w") as root:
        root.create_dataset("version", data=version)
        _write_node(root.create_group("node"), graph(nodes, edges))
    return path


def chain(path: Path, shape: tuple[int, ...], *nodes: NodeSpec, output: Any = None) -> Path:
    """input -> n0 -> n1 -> ... -> output."""
    names = [f"n{i}" for i in range(len(nodes))]
    ends = ["input", *names, "output"]
    every = {
        "input": node("Input", shape=np.array(shape)),
        **dict(zip(names, nodes, strict=True)),
        "output": node("Output", **({} if output is None else {"shape": np.array(output)})),
    }
    return write(path, every, list(pairwise(ends)))


def lif(shape: tuple[int, ...] = (), tau: float = 1e-3, r: float = 10.0) -> NodeSpec:
    """A LIF population as snnTorch writes it (beta 0.9, unit gain, threshold 1)."""
    return node(
        "LIF", tau=np.full(shape, tau), r=np.full(shape, r), v_leak=np.zeros(shape),
        v_threshold=np.ones(shape), v_reset=np.zeros(shape),
    )  # fmt: skip


def if_(shape: tuple[int, ...] = (), threshold: float = 1.0) -> NodeSpec:
    """An IF population with unit gain."""
    return node(
        "IF", r=np.ones(shape), v_threshold=np.full(shape, threshold), v_reset=np.zeros(shape)
    )


def affine(weight: Any, bias: Any) -> NodeSpec:
    """y = W x + b."""
    return node("Affine", weight=np.asarray(weight, float), bias=np.asarray(bias, float))


def conv2d(weight: Any, **fields: Any) -> NodeSpec:
    """A Conv2d with the defaults of torch."""
    settings = {"stride": 1, "padding": 0, "dilation": 1, "groups": 1, **fields}
    weight = np.asarray(weight, float)
    return node("Conv2d", weight=weight, bias=np.zeros(weight.shape[0]), **settings)


def _write_node(group: Any, spec: NodeSpec) -> None:
    for label, value in spec.items():
        if label == "nodes":
            folder = group.create_group("nodes")
            for name, inner in value.items():
                _write_node(folder.create_group(name), inner)
        elif label == "edges":
            dtype = h5py.string_dtype()
            pairs = np.array(list(value), dtype=object).reshape(-1, 2)
            group.create_dataset("edges", data=pairs, dtype=dtype)
        elif isinstance(value, str):
            group.create_dataset(label, data=value)
        else:
            array = np.asarray(value)
            options = {"compression": "gzip"} if array.ndim else {}
            group.create_dataset(label, data=array, **options)
