"""What the tests of the simulator share."""

from __future__ import annotations

import pytest

from rq_ses_worker.simulator.options import Options
from rq_ses_worker.simulator.service import Service


@pytest.fixture
def service() -> Service:
    return Service(Options(error_shape="header"))
