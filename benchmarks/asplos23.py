"""The placement engine on the synthetic networks of Jin et al. (ASPLOS 2023), exactly regenerated.

A network LxM has L layers of M clusters on a mesh of L x M cores; DNN layers send all to all, CNN
layers to 4 neighbours.  Weights come from the C++ generator ``std::minstd_rand`` with seed 1, two
draws each, as ``std::uniform_real_distribution<double>`` of libc++ takes them; the last layer is
connected to nothing.  All costs are recomputed in one stream over the generator, in 64 bits.

Printed: zigzag and Hilbert costs (they must equal the logged ones digit for digit), our weighted
hops and CPU seconds (one thread, flows read to placement done), the best logged result of the
paper's methods and its logged seconds, the ratio, and the gap to our lower bound.  The family RES
(a skip over every layer) is ours.  The network of InceptionV3 cannot be regenerated: its clusters
and weights were not published, only its costs.

    python benchmarks/asplos23.py FILE.json [--sizes 32 64 256] [--kinds DNN CNN RES] [--seconds 60]
"""

from __future__ import annotations

import argparse
import json
import resource
import time
from pathlib import Path

from asplos23_networks import KINDS, mesh, network, stream_cost, zigzag

from snnc.compiler.place import Placement, place
from snnc.compiler.place.baselines import curve


def row(kind: str, side: int, logged: dict[str, object], effort: str, seconds: float) -> str:
    """One line of the table."""
    number = KINDS.index(kind)
    order = curve(mesh(side))
    simple = [
        stream_cost(number, side, *zigzag(side)),
        stream_cost(number, side, order % side, order // side),
    ]
    known = [logged.get("zigzag"), logged.get("hilbert")]
    same = "" if known[0] is None else "no"
    if all(v is not None and f"{c:.6g}" == f"{v:.6g}" for c, v in zip(simple, known, strict=True)):
        same = "yes"
    began = time.process_time()
    flows = network(kind, side)
    built = time.process_time() - began
    ours: Placement = place(flows, 0, effort, seconds)  # type: ignore[arg-type]
    taken = time.process_time() - began - built
    cost = stream_cost(number, side, ours.location[:, 0], ours.location[:, 1])
    rivals = {k: v for k, v in logged.items() if "FD" in k and isinstance(v, float | int)}
    rivals = {k: v for k, v in rivals.items() if not k.startswith("t_")}
    best = min(rivals, key=rivals.__getitem__) if rivals else ""
    times = logged.get("t_s", {}).get(best) if best else None  # type: ignore[attr-defined]
    times = logged.get("t_FD_s") if times is None else times
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    rival = (
        f"{rivals[best]:>11.6g} {best:<14}{times or '-':>7}" if best else f"{'-':>11}" + " " * 22
    )
    ratio = f"{rivals[best] / cost:6.2f}" if best else " " * 6
    gap = 100 * (cost - ours.bound) / cost
    return (
        f"{kind} {side:>4}  {simple[0]:>11.6g} {simple[1]:>11.6g} {same:<4}{cost:>11.6g}"
        f"{taken:>8.1f}{built:>7.1f}  {rival}{ratio} {ours.bound:>11.5g}{gap:>6.1f} {memory:>5.2f}"
        f"  {'' if ours.complete else 'cut, '}{ours.engine}"
    )


def main() -> None:
    """Print one row per network."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("logged", type=Path, help="asplos23_logged_results.json")
    parser.add_argument("--sizes", type=int, nargs="+", default=[32, 64, 128, 256])
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=["DNN", "CNN"])
    parser.add_argument("--effort", choices=("low", "normal", "high"), default="high")
    parser.add_argument("--seconds", type=float, default=600.0, help="limit per network, wall")
    arguments = parser.parse_args()
    logged = json.loads(arguments.logged.read_text())
    tables = {"DNN": logged["DNN_LxM_all_to_all"], "CNN": logged["CNN_LxM_kernel4"], "RES": {}}
    for kind in KINDS:  # compile
        place(network(kind, 8), 0, "low", 60.0)
        place(network(kind, 80), 0, "low", 60.0)
        place(network(kind, 17), 0, "normal", 60.0)
    print(
        "network       zigzag     Hilbert same      ours   CPU s  read  best logged           "
        "       s  ratio       bound  gap%    GB  engine"
    )
    for side in arguments.sizes:
        for kind in arguments.kinds:
            facts = tables[kind].get(f"{side}x{side}", {})
            print(row(kind, side, facts, arguments.effort, arguments.seconds), flush=True)


if __name__ == "__main__":
    main()
