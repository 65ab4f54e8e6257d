"""How many chips, in which rectangle: asked for by number, by sides, or as many as needed."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support import nets
from support.mapping_check import deployment
from support.placing import toy

from snnc.backends.targets import load
from snnc.compiler.chip_count import chips_for, chips_report, in_columns, parse_chips, square_chips
from snnc.compiler.map import MapOptions, map_network
from snnc.compiler.options import CompileOptions
from snnc.compiler.verify import verify
from snnc.ir.errors import CapacityError, OptionError
from snnc.ir.expand import expand
from snnc.ir.topology import chip_grid, mesh_of

SMALL = {"grid": (2, 1), "usable_cores": 2, "max_chips": {"v": 1000, "ev": "assumed"}}


@pytest.mark.parametrize(("needed", "chips", "grid"), [
    (1, 1, (1, 1)), (2, 2, (2, 1)), (3, 3, (3, 1)), (5, 6, (3, 2)), (7, 8, (4, 2)), (8, 8, (4, 2)),
    (38, 40, (8, 5)), (514, 520, (26, 20)),
])  # fmt: skip
def test_up_to_a_fifth_more_chips_stand_nearly_square(
    needed: int, chips: int, grid: tuple[int, int]
) -> None:
    target = toy(**SMALL)
    assert chips_for(2 * needed, target) == chips
    assert chips_for(2 * needed - 1, target) == chips
    assert chip_grid(target, chips) == grid


@settings(max_examples=100, deadline=None, derandomize=True)
@given(cores=st.integers(0, 1500))
def test_no_smaller_number_would_do(cores: int) -> None:
    fewest = max(1, math.ceil(cores / 2))
    nice = [
        n for n in range(fewest, fewest + fewest // 5 + 1)
        if any(n == a * b and a <= b <= 2 * a for a in range(1, n + 1) for b in (n // a,))
    ]  # fmt: skip
    assert chips_for(cores, toy(**SMALL)) == min(nice, default=fewest)


def test_the_target_says_how_chips_stand() -> None:
    row, sixes = toy(**SMALL, chip_arrangement="row"), toy(**SMALL, chip_arrangement=6)
    assert chips_for(76, row) == 38
    assert chips_for(76, sixes) == 42  # 6 x 7
    assert (mesh_of(sixes, 42).width, mesh_of(sixes, 42).height) == (12, 7)
    assert square_chips(row, 38) is None
    with pytest.raises(OptionError, match=r"(?s)6 columns.*38.*multiple of 6.*WxH"):
        mesh_of(sixes, 38)


def test_no_more_chips_are_taken_than_can_be_joined() -> None:
    few = {**SMALL, "max_chips": {"v": 39, "ev": "assumed"}}
    assert chips_for(76, toy(**few)) == 38
    with pytest.raises(CapacityError, match="joins more chips"):
        chips_for(80, toy(**few))


def test_chips_behind_broken_borders_do_not_count() -> None:
    """Of two chips in a row only the first is left, of 2 x 2 the left column."""
    cut = toy(**SMALL, broken_chip_links=(((0, 0), (1, 0)),))
    assert chips_for(2, cut) == 1
    assert chips_for(4, cut) == 4
    every = (((0, 0), (1, 0)), ((0, 0), (0, 1)))
    with pytest.raises(CapacityError, match=r"(?s)--chips auto.*repair topology"):
        chips_for(4, toy(**SMALL, broken_chip_links=every))


def test_a_long_rectangle_names_the_next_one_that_is_not() -> None:
    target = toy(**SMALL)
    assert chips_report(target, 38) == {"grid": [19, 2], "nearly_square": [8, 5]}
    assert chips_report(target, 40) == {"grid": [8, 5], "nearly_square": None}
    assert square_chips(target, 3) == 4
    assert chips_report(in_columns(target, 2), 38) == {"grid": [2, 19], "nearly_square": None}


def test_a_network_gets_as_many_chips_as_it_needs() -> None:
    network = nets.mlp((20, 300, 200, 10))
    retiming = nets.longest_path_retiming(expand(network))
    target, options = toy(grid=(1, 1), usable_cores=1), MapOptions(effort="low", time_limit_s=600)
    found = map_network(network, retiming, target, None, None, options)
    cores = found.report["cores_used"]
    assert found.chips == chips_for(cores, target) > 1
    assert found.report["chips"]["nearly_square"] is None
    verify(deployment(network, retiming, target, found.chips, found))
    again = map_network(network, retiming, target, found.chips, None, options)
    assert np.array_equal(again.cores.location, found.cores.location)
    with pytest.raises(CapacityError, match=f"--chips {cores} would do"):
        map_network(network, retiming, target, 1, None, options)


def test_a_refusal_also_names_the_nearly_square_number() -> None:
    network = nets.mlp((100, 4 * 64, 10))
    with pytest.raises(CapacityError, match=r"--chips 5 would do, and on --chips 6 \(3 x 2"):
        map_network(
            network, nets.longest_path_retiming(expand(network)),
            toy(grid=(1, 1), usable_cores=1), 1, None, MapOptions(effort="low"),
        )  # fmt: skip


def test_the_option_is_a_number_sides_or_auto() -> None:
    assert [parse_chips(text) for text in (3, "3", "8x5", "auto")] == [3, 3, (8, 5), None]
    assert CompileOptions(chips="3").chips == 3
    assert CompileOptions(chips="8x5").chips == "8x5"
    for wrong in (0, -1, "0x3", "3x", "3x3x3", "many", "", "1" * 30):
        with pytest.raises(OptionError, match="not a number of chips"):
            CompileOptions(chips=wrong)
    with pytest.raises(OptionError, match="as many chips as it needs takes no phases"):
        CompileOptions(chips="auto", phases="auto")


def test_more_chips_than_can_be_joined_are_refused_before_anything_is_done() -> None:
    network = nets.mlp((20, 30))
    with pytest.raises(OptionError, match="this many chips cannot be joined"):
        map_network(network, nets.longest_path_retiming(expand(network)), load("toy-mesh"), 65)
