"""Another RQ than 3 is refused in words, by whatever is imported first."""

from __future__ import annotations

import subprocess
import sys

import pytest

from rq_ses.rqversion import check_rq
from support.programs.processes import PATIENCE, environment

OTHER_RQ = """\
import importlib.metadata, sys, types
known = importlib.metadata.version
importlib.metadata.version = lambda name: {version!r} if name == "rq" else known(name)
# None of its names is there, as those of RQ 3 aren't in RQ 2.
sys.modules.update(dict.fromkeys(("rq", "rq.defaults", "rq.serializers", "rq.utils"), types.ModuleType("rq")))
{statement}
"""


@pytest.mark.parametrize(
    "statement",
    [
        "import rq_ses",
        "from rq_ses import Message",
        "import rq_ses.contract",
        "from rq_ses.cli import main",
    ],
)
def test_an_older_rq_is_an_import_error_that_says_what_to_do(statement: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", OTHER_RQ.format(version="2.12.0", statement=statement)],
        env=environment(), capture_output=True, text=True, timeout=PATIENCE, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == (
        "ImportError: rq-ses needs RQ 3, this is 2.12.0: pip install 'rq>=3,<4'; a package that wants "
        "another one (rq-exporter does) needs an environment of its own"
    )


@pytest.mark.parametrize("version", ["2.12.0", "1.16", "4.0.0", "30.1"])
def test_any_other_major_version_is_refused(version: str) -> None:
    with pytest.raises(ImportError, match=f"rq-ses needs RQ 3, this is {version}: "):
        check_rq(version)


@pytest.mark.parametrize("version", ["3.0.0", "3.1", "3.0.0rc1", "3"])
def test_rq_3_is_taken(version: str) -> None:
    check_rq(version)
