from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from snnc.ir.codec import decode, encode
from snnc.ir.deployment import Schedule
from snnc.ir.errors import ModelError
from snnc.ir.wire import WireCode, WireKind, packet_limit, slots_for


@given(
    kind=st.sampled_from(["burst", "graded", "unary", "bitplane"]),
    counts=st.lists(st.integers(-300, 300), max_size=20),
)
def test_the_slots_of_a_count_add_up_to_it(kind: WireKind, counts: list[int]) -> None:
    array = np.array(counts, np.int64)
    most = int(np.abs(array).max(initial=1))
    code = WireCode(kind, slots_for(kind, most))
    pulses = list(code.pulses(array))
    assert len(pulses) == code.slots
    assert (np.sum(pulses, axis=0) == array).all()
    assert code.largest is None or code.largest >= most
    if code.slotted:  # at most one packet per slot, all of them counted
        assert (sum((p != 0) for p in pulses) == code.packets(array, 1)).all()


def test_packets_and_slots_by_hand() -> None:
    counts = np.array([5, -3, 0, 7])
    assert WireCode("unary", 7).packets(counts, 1).tolist() == [5, 3, 0, 7]
    assert WireCode("bitplane", 3).packets(counts, 1).tolist() == [2, 2, 0, 3]
    assert WireCode("graded").packets(counts, 3).tolist() == [2, 1, 0, 3]
    assert WireCode("burst").packets(counts.astype(np.uint8), 1).tolist()[0] == 5
    planes = [p.tolist() for p in WireCode("bitplane", 3).pulses(counts)]
    assert planes == [[1, -1, 0, 1], [0, -2, 0, 2], [4, 0, 0, 4]]
    assert [slots_for("bitplane", d) for d in (1, 2, 3, 4, 7, 8)] == [1, 2, 2, 3, 3, 4]
    assert [packet_limit(*k) for k in ((0, True), (3, False), (3, True), (1, True))] == [1, 7, 3, 1]


@pytest.mark.parametrize(
    "fields",
    [("burst", 2), ("graded", 2), ("unary", 0), ("bitplane", 2, False, True),
     ("unary", 2, True, True)],
)  # fmt: skip
def test_codes_that_contradict_themselves_are_refused(fields: tuple[object, ...]) -> None:
    with pytest.raises(ModelError):
        WireCode(*fields)  # type: ignore[arg-type]


def test_slots_must_end_before_the_next_step_and_lengthen_the_sample() -> None:
    codes = {"a": WireCode("unary", 3), "b": WireCode("bitplane", 2, pair=True)}
    schedule = Schedule(4, 3, {"a": 2, "b": 3}, codes)
    assert schedule.ticks == 3 * 3 + 1 + 4
    assert [schedule.slots(name) for name in "abc"] == [3, 2, 1]
    assert decode(encode(schedule, {}), {}) == schedule
    with pytest.raises(ModelError, match=r"a: .*\n.*found: .*slots=3.*\n.*up to 2 slots"):
        Schedule(4, 2, {"a": 2, "b": 3}, codes)
