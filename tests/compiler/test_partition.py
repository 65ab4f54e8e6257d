"""Capacity boundaries, tilings, shared cores, and what a network that does not fit is told."""

from __future__ import annotations

import numpy as np
import pytest
from support import nets

from snnc.backends.targets import load
from snnc.compiler.map import MapOptions, map_network
from snnc.compiler.partition.tally import slots
from snnc.compiler.partition.tiling import block_label
from snnc.ir.errors import CapacityError, UnsupportedError
from snnc.ir.expand import expand
from snnc.ir.integer_network import IntegerNetwork
from snnc.ir.nodes import Delay, Input, Linear, Output
from snnc.ir.target import Target
from snnc.ir.types import BIN
from snnc.ir.weights import Dense


def layer(into: int, out: int) -> IntegerNetwork:
    rng = np.random.default_rng(0)
    return IntegerNetwork(
        "layer",
        (
            Input("in", (into,), BIN),
            Linear("w", ("in",), nets.dense(rng, out, into)),
            nets.fire("n", "w", (out,)),
            Output("out", ("n",)),
        ),
    )


def report_of(network: IntegerNetwork, target: Target, chips: int = 1) -> dict[str, object]:
    retiming = nets.longest_path_retiming(expand(network))
    return map_network(network, retiming, target, chips, None, MapOptions(effort="low")).report


def changed(name: str, **core: object) -> Target:
    data = load(name).model_dump(by_alias=True)
    data["core"] |= core
    return Target.model_validate(data)


def test_1024_to_112_fills_the_synapse_memory_of_one_loihi_core_exactly() -> None:
    report = report_of(layer(1024, 112), load("loihi1"))
    assert report["cores_used"] == 1
    assert report["cores"][0]["use"]["synapse_mem"] == [1_048_576, 1_048_576]  # type: ignore[index]


def test_a_row_that_starts_one_more_memory_word_needs_a_second_loihi_core() -> None:
    """A row of 118 is 64 synapses in 9 words and 54 in 7; the 119th opens an eighth word."""
    assert report_of(layer(1024, 118), load("loihi1"))["cores_used"] == 1
    assert report_of(layer(1024, 119), load("loihi1"))["cores_used"] == 2


def test_4096_input_axons_fit_a_loihi_core() -> None:
    report = report_of(layer(4096, 1), load("loihi1"))
    assert report["cores"][0]["use"]["input_axons"] == [4096, 4096]  # type: ignore[index]


def test_4097_input_axons_fit_no_loihi_core_and_no_number_of_chips_helps() -> None:
    with pytest.raises(CapacityError) as caught:
        report_of(layer(4097, 1), load("loihi1"))
    text = str(caught.value)
    assert text.startswith("n: a single neuron does not fit a core of loihi1")
    assert "input_axons: 4,097 axon for one neuron with 4,097 inputs" in text
    assert "4,096 axon per core: 1 axon too many" in text
    assert "no number of chips would do" in text


def test_more_clusters_than_cores_name_resource_layer_and_number_of_chips() -> None:
    network = layer(500, 40 * 64)
    with pytest.raises(CapacityError) as caught:
        report_of(network, load("toy-mesh"))
    text = str(caught.value)
    assert "1 chip of toy-mesh" in text
    assert "n (" in text
    assert "binding resource synapse_mem" in text
    assert "16 cores:" in text
    assert "too many" in text
    chips = int(text.split("--chips ")[1].split()[0])
    assert report_of(network, load("toy-mesh"), chips)["cores_used"] <= 16 * chips  # type: ignore[operator]
    with pytest.raises(CapacityError):
        report_of(network, load("toy-mesh"), chips - 1)


def test_a_network_beyond_the_largest_machine_is_told_so() -> None:
    with pytest.raises(CapacityError, match=r"no number of chips would do: .* 64 can be joined"):
        report_of(layer(100, 64 * 16 * 65), load("toy-mesh"))


def test_a_neuron_with_too_few_targets_is_refused() -> None:
    target = changed("toy-mesh", max_targets_per_neuron=1)
    assert report_of(nets.mlp((20, 50, 60, 10)), target)["cores_used"] == 2
    with pytest.raises(CapacityError) as caught:
        report_of(nets.mlp((20, 50, 100, 10)), target)
    assert "targets per neuron: a neuron of n0 reaches 2 cores" in str(caught.value)
    assert "1 per neuron" in str(caught.value)


def test_output_axons_cut_the_producer_finer() -> None:
    resources = dict(load("toy-mesh").model_dump(by_alias=True)["core"]["resources"])
    resources["output_axons"] = {"capacity": {"v": 100, "ev": "assumed"}, "use": "n_axons_out"}
    target = changed("toy-mesh", resources=resources)
    report = report_of(nets.mlp((20, 64, 150, 10)), target, chips=4)
    assert max(c["use"]["output_axons"][0] for c in report["cores"]) <= 100  # type: ignore[attr-defined]
    blocks = {p["name"]: p["clusters"] for p in report["partition"]["populations"]}  # type: ignore[index]
    assert blocks["n0"] >= 2  # 64 neurons to 3 cores each are 192 output axons


def test_at_most_eight_thresholds_share_a_loihi_core() -> None:
    report = report_of(nets.cnn_sinabs(), load("loihi1"))
    used = [c["use"]["threshold_profiles"] for c in report["cores"]]  # type: ignore[attr-defined]
    assert max(u for u, _ in used) == 8


def typed_layer(types: int) -> IntegerNetwork:
    """Inputs of several types: input i adds weight 1 + (i modulo types) to every neuron."""
    values = np.tile(1 + np.arange(40) % types, (30, 1))
    return IntegerNetwork(
        "typed",
        (
            Input("in", (40,), BIN),
            Linear("w", ("in",), Dense(values)),
            nets.fire("n", "w", (30,)),
            Output("out", ("n",)),
        ),
    )


def test_four_axon_types_fit_a_truenorth_core_and_five_do_not() -> None:
    assert report_of(typed_layer(4), load("truenorth"))["cores_used"] == 1
    with pytest.raises(UnsupportedError, match="axon types of truenorth") as caught:
        report_of(typed_layer(5), load("truenorth"))
    assert "5 types by first fit" in str(caught.value)
    assert "4 types per core" in str(caught.value)


def test_small_layers_share_one_core() -> None:
    report = report_of(nets.mlp((8, 10, 10, 10)), load("toy-mesh"))
    assert report["cores_used"] == 1
    assert report["cores"][0]["populations"] == {"n0": 10, "n1": 10, "n2": 10}  # type: ignore[index]


def test_an_unconnected_population_still_gets_a_core() -> None:
    network = IntegerNetwork(
        "silent",
        (
            Input("in", (4,), BIN),
            Linear("w", ("in",), Dense(np.zeros((3, 4), np.int64))),
            nets.fire("n", "w", (3,)),
            Output("out", ("n",)),
        ),
    )
    assert report_of(network, load("toy-mesh"))["cores_used"] == 1


def test_blocks_are_near_equal_runs() -> None:
    label = block_label((2, 5), (1, 2)).reshape(2, 5)
    assert label.tolist() == [[0, 0, 0, 1, 1]] * 2
    assert slots(label.reshape(-1), 2, np.arange(10)).tolist() == [0, 1, 2, 0, 1, 3, 4, 5, 2, 3]


def test_the_bound_counts_synapse_bytes_in_the_width_of_every_layer() -> None:
    """500 x 900 synapses of one byte on Loihi 2 cores of 131,072: four cores at least."""
    network = nets.with_input_shift(layer(500, 900), 6)
    partition = report_of(network, load("loihi2"))["partition"]
    assert partition["cores_lower_bound"] == 4  # type: ignore[index]
    assert partition["cores_bound_by"] == "synapse_mem"  # type: ignore[index]


def fan_out(populations: int, late: int = 0) -> IntegerNetwork:
    """One input of ten elements read by single neurons, the first of them ``late`` steps late."""
    nodes: list[object] = [Input("in", (10,), BIN)]
    for k in range(populations):
        source = "in"
        if late and k == 0:
            nodes.append(Delay("late", ("in",), late))
            source = "late"
        nodes.append(Linear(f"w{k}", (source,), Dense(np.full((1, 10), 1 + k))))
        nodes.append(nets.fire(f"n{k}", f"w{k}", (1,)))
        nodes.append(Output(f"out{k}", (f"n{k}",)))
    return IntegerNetwork("fan-out", tuple(nodes))  # type: ignore[arg-type]


def test_rows_that_merge_on_a_shared_core_never_beat_the_lower_bound() -> None:
    memory = {
        "capacity": {"v": 900, "u": "bit", "ev": "assumed"},
        "use_per_axon": {"dense": "16 + 2 * f * weight_bits"},
    }
    weight = {"bits": [4], "ev": "assumed"}
    target = changed("toy-mesh", resources={"memory": memory}, encodings=["dense"], weight=weight)
    report = report_of(fan_out(6), target)
    assert report["cores_used"] == 1
    assert report["partition"]["cores_lower_bound"] == 1  # type: ignore[index]


def test_long_delays_are_not_taken_for_other_sources() -> None:
    axons = {"capacity": {"v": 19, "u": "axon", "ev": "assumed"}, "use": "n_axons_in"}
    unknown = {"v": None, "ev": "unknown"}
    target = changed("toy-mesh", resources={"input_axons": axons}, max_delay=unknown)
    partition = report_of(fan_out(2, late=4096), target)["partition"]
    assert partition["cores_lower_bound"] == partition["cores"] == 2  # type: ignore[index]
