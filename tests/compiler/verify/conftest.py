from __future__ import annotations

import pytest
from support.deployments import small_deployment

from snnc.backends.targets import load
from snnc.ir.deployment import Deployment


@pytest.fixture(scope="session")
def toy() -> Deployment:
    return small_deployment(load("toy-mesh"))


@pytest.fixture(scope="session")
def loihi() -> Deployment:
    return small_deployment(load("loihi1"))
