"""Random graphs: whatever the edges, a network comes out or a typed refusal, never a crash."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from support.nir_files import affine, if_, lif, node, write

from snnc.compiler.frontends.nir import NirOptions, read
from snnc.ir.errors import SnncError
from snnc.ir.network import Network
from snnc.ir.nodes import Delay
from snnc.simulators.reference.real import run_real

KINDS: dict[str, Any] = {
    "lif": lif((2,)), "if": if_((2,)), "affine": affine([[0.7, 0.2], [-0.1, 0.9]], [0.1, 0.0]),
    "scale": node("Scale", scale=np.array([0.5, 2.0])),
    "delay": node("Delay", delay=np.array(1e-4)),
    "now": node("Delay", delay=np.array(0.0)),
    "threshold": node("Threshold", threshold=np.array(0.5)),
    "li": node("LI", tau=np.array(1e-3), r=np.array(1.0), v_leak=np.array(0.0)),
    "port": node("Input", shape=np.array([2])), "exit": node("Output", shape=np.array([2])),
}  # fmt: skip


@st.composite
def graphs(draw: Any) -> tuple[dict[str, Any], list[tuple[str, str]]]:
    """Nodes of all kinds with any edges between them."""
    kinds = draw(st.lists(st.sampled_from(sorted(KINDS)), min_size=1, max_size=7))
    names = [f"{kind}{i}" for i, kind in enumerate(kinds)]
    ends = st.sampled_from(["input", *names, "output"])
    chain = list(zip(["input", *names], [*names, "output"], strict=True))
    extra = draw(st.lists(st.tuples(ends, ends), max_size=6))
    nodes = {"input": KINDS["port"], "output": KINDS["exit"]}
    return nodes | {n: KINDS[k] for n, k in zip(names, kinds, strict=True)}, chain + extra


def imported(nodes: Any, edges: Any, place: Any) -> Network | None:
    """The network, or None where it is refused for a reason that is not the order of loops."""
    with tempfile.TemporaryDirectory() as folder:
        path = write(Path(folder) / "net.nir", nodes, edges)
        try:
            return read(path, NirOptions("nir", loop_delay=place))
        except SnncError as refusal:
            if "loop without delay" in str(refusal):
                raise
            return None


@settings(max_examples=60, deadline=None)
@given(graphs(), st.sampled_from(["before", "after"]))
def test_any_graph_is_imported_or_refused(drawn: Any, place: str) -> None:
    network = imported(*drawn, place)
    if network is None:
        return
    inputs = {n.name: np.ones((1, 4, *n.shape)) for n in network.nodes if not n.inputs}
    result = run_real(network, inputs)
    assert all(np.isfinite(y).all() for y in result.outputs.values())


def test_weights_read_inside_and_outside_the_loop_are_delayed_behind_and_said() -> None:
    nodes = {"input": KINDS["port"], "lif": KINDS["lif"], "w": KINDS["affine"],
             "out": KINDS["if"], "output": KINDS["exit"]}  # fmt: skip
    edges = [("input", "lif"), ("lif", "w"), ("w", "lif"), ("w", "out"), ("out", "output")]
    network = imported(nodes, edges, "before")
    assert network is not None
    assert [d.inputs for d in network.of_type(Delay)] == [("w.bias",)]
    assert "w -> lif" in network.assumptions["loop delay moved"]
