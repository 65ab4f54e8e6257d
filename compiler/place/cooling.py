"""The schedule of simulated annealing, whatever it minimises."""

from __future__ import annotations

from collections.abc import Iterator

TEMPERATURES = 60
HOTTEST = 0.3  # of the mean uphill step of random moves
COLDEST = 0.02  # of the hottest


def levels(hot: float, reach: int, cold: bool) -> Iterator[tuple[float, float, int]]:
    """(share of the walk that is done, temperature, routers that a core may move) of every sweep.

    Args:
        hot: the first temperature, in units of the cost.
        reach: routers that a core may move at first.
        cold: start at two thirds of the walk, to improve what is good already.
    """
    cooling = COLDEST ** (1 / (TEMPERATURES - 1))
    for level in range(2 * TEMPERATURES // 3 if cold else 0, TEMPERATURES + 1):
        done = level / TEMPERATURES
        temperature = hot * cooling**level if level < TEMPERATURES else 0.0
        yield done, temperature, max(1, round(reach * (1 - done)))
