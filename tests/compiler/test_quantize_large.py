"""A residual network of 11 million random weights becomes integers in little memory."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = """
import json, sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
import numpy as np
from support.zoo import Make
from snnc.backends.targets import load
from snnc.compiler.quantize import QuantizeOptions, quantize
from snnc.ir.network import Network
from snnc.ir.nodes import Linear, Output
from snnc.ir.weights import with_values

m = Make("ResNet-18", (3, 32, 32))
x = m.norm(m.conv("in", 64))
for block, channels in enumerate((64, 64, 128, 128, 256, 256, 512, 512)):
    stride = 2 if block in (2, 4, 6) else 1
    y = m.norm(m.conv(m.spike(m.norm(m.conv(m.spike(x), channels, stride=stride))), channels))
    x = m.add(y, x if stride == 1 else m.norm(m.conv(m.spike(x), channels, 1, stride)))
network = m.head(m.pool(m.spike(x), "sum", 4, 4), 10)
nodes = tuple(
    Linear(n.name, n.inputs, with_values(n.weights, m.rng.normal(size=n.weights.values.shape)))
    if isinstance(n, Linear) else n for n in network.nodes
)
network = Network(network.name, nodes)
done = quantize(network, load(sys.argv[2]), QuantizeOptions(8, 4))
# Not ru_maxrss, which begins with the peak of the process that started this one.
status = Path("/proc/self/status").read_text()
print(json.dumps({
    "weights": sum(n.weights.values.size for n in network.of_type(Linear)),
    "integers": sum(n.weights.values.size for n in done.network.of_type(Linear)),
    "bytes": 1024 * int(status.split("VmHWM:")[1].split()[0]),
}))
"""


@pytest.mark.slow
@pytest.mark.parametrize("target", ["loihi1", "toy-mesh"])
def test_ten_million_weights_take_less_than_two_gigabytes(target: str) -> None:
    tests = str(Path(__file__).resolve().parent.parent)
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, tests, target],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["weights"] > 10e6
    assert found["integers"] >= found["weights"]
    assert found["bytes"] < 2e9, found
