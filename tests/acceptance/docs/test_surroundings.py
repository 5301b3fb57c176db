"""The tests' own surroundings: what a run puts aside, and what it must not leave behind."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from support.pages.documents import DOCS
from support.programs.processes import PATIENCE, running_module
from support.waiting import wait_for

TESTS = Path(__file__).parents[2]

INHERITED = """
import os, signal, subprocess, sys, time
import pytest

CHILD = '''
import signal
print(*(signal.getsignal(number).name for number in (1, 3, 15, 17)), signal.getsignal(2).__name__, end="")
'''


def test_a_signal_is_felt_here_and_there():
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)
    assert signal.SIGTERM not in signal.pthread_sigmask(signal.SIG_BLOCK, ())
    child = subprocess.run([sys.executable, "-c", CHILD], capture_output=True, text=True)
    assert child.stdout == "SIG_DFL SIG_DFL SIG_DFL SIG_DFL default_int_handler", child.stderr


def test_the_streams_are_open_and_the_home_is_the_tests(tmp_path):
    assert all(os.fstat(stream) for stream in range(3))
    assert (tmp_path / "file").open("w").fileno() > 2
    from pathlib import Path
    (Path.home() / "file").write_text("")


def test_the_shells_settings_are_not_ours(tmp_path):
    names = "AWS_REGION RQ_SES_QUEUE HTTP_PROXY https_proxy TERM NO_COLOR FORCE_COLOR COLUMNS TZ LANG".split()
    assert not set(names) & set(os.environ)
    assert time.timezone == 0
    assert os.environ["RQ_SES_FAULT_SEED"] == "7"
    file = tmp_path / "file"
    file.write_text("")
    assert file.stat().st_mode & 0o777 == 0o644
"""

LEFT_BEHIND = """
import subprocess, sys

CODE = "import subprocess; subprocess.Popen(['sleep', '86399'], start_new_session=True)"


def test_it_passes():
    subprocess.run([sys.executable, "-c", CODE])
"""

SHELL = {
    "AWS_REGION": "eu-north-1",
    "RQ_SES_QUEUE": "the-developers",
    "RQ_SES_FAULT_SEED": "7",
    "HTTP_PROXY": "http://127.0.0.1:9",
    "https_proxy": "http://127.0.0.1:9",
    "TERM": "dumb",
    "NO_COLOR": "1",
    "FORCE_COLOR": "1",
    "COLUMNS": "40",
    "TZ": "Pacific/Auckland",
    "LC_ALL": "de_DE.ISO-8859-1",
    "LANG": "de_DE",
    "HOME": "/proc/nowhere",
}


def run_tests(directory: Path, code: str, *options: str, begin: str = "") -> subprocess.CompletedProcess[str]:
    """Run tests that put their surroundings aside, from a shell that begins with `begin`."""
    (directory / "conftest.py").write_text('pytest_plugins = ["support.surroundings"]\n')
    (directory / "test_it.py").write_text(code)
    command = f"{begin}\nexec {sys.executable} -m pytest -p no:cacheprovider -c /dev/null -q test_it.py"
    return subprocess.run(
        ["bash", "-c", f"{command} {' '.join(options)}"],
        cwd=directory, env={**os.environ, **SHELL, "PYTHONPATH": str(TESTS)},
        capture_output=True, text=True, timeout=2 * PATIENCE, check=False,
    )  # fmt: skip


@pytest.mark.parametrize("options", [["--capture", "no"], ["-n", "1"]])
def test_what_a_run_inherits_is_put_aside(tmp_path: Path, options: list[str]) -> None:
    begin = "trap '' INT HUP QUIT TERM CHLD PIPE; umask 077; exec <&-"
    done = run_tests(tmp_path, INHERITED, *options, begin=begin)
    assert "3 passed" in done.stdout, done.stdout + done.stderr


def test_a_process_that_is_left_behind_fails_the_run_and_is_ended(tmp_path: Path) -> None:
    done = run_tests(tmp_path, LEFT_BEHIND, "-n", "1")
    assert done.returncode == 1, done.stdout + done.stderr
    assert "1 passed, 1 error" in done.stdout
    found = re.search(r"left running by the tests:\n(\d+) sleep 86399\n", done.stdout)
    assert found, done.stdout
    wait_for(lambda: not _lives(int(found[1])))


AS_A_BACKGROUND_JOB = (
    "import os, signal, sys\n"
    "signal.signal(signal.SIGINT, signal.SIG_IGN)\n"
    "os.execv(sys.executable, [sys.executable, '-m', 'rq_ses', *sys.argv[1:]])\n"
)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [(["worker"], "sending mails of"), (["simulator", "--port", "0"], "listening on")],
)
def test_a_server_that_a_script_started_obeys_sigint_as_rqs_own_does(
    arguments: list[str], says: str, worker_env: dict[str, str], tmp_path: Path
) -> None:
    with running_module(["-c", AS_A_BACKGROUND_JOB, *arguments], worker_env, tmp_path / "log") as process:
        wait_for(lambda: says in process.output)
        assert process.stop(signal.SIGINT) == 0


ROW = re.compile(r"^\| (.+) \| (.+) \| (.+) \| `([\w/]+\.py)::(test_\w+)` \|$", re.MULTILINE)


def test_each_row_about_the_software_around_names_a_test_that_is_there() -> None:
    text = (DOCS / "surroundings.md").read_text()
    rows = ROW.findall(text)
    lines = [line for line in text.splitlines() if line.startswith("|") and "---" not in line]
    assert len(rows) == len([line for line in lines if not line.startswith("| behaviour")]) >= 15
    for *_, file, name in rows:
        assert f"\ndef {name}(" in (TESTS / file).read_text(), (file, name)
    assert all(re.search(r"\d|the same", version) for _, version, *_ in rows)


def _lives(pid: int) -> bool:
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
