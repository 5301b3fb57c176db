"""`rq-ses demo` as a newcomer meets it, and its eye for what doesn't go as scripted."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest
from redis import Redis

from rq_ses import Outbox
from rq_ses_worker.demo import verdicts
from rq_ses_worker.demo.stories import STORIES, Story, message
from rq_ses_worker.demo.verdicts import Enqueued, Verdict
from rq_ses_worker.simulator.server import SimulatorServer
from support.mails.keys import KEYS
from support.programs.processes import environment, run
from support.programs.terminal import run_on_terminal

HOSTILE = {
    "AWS_ACCESS_KEY_ID": "AKIDOFTHEUSER",
    "AWS_SECRET_ACCESS_KEY": "the-users-secret",
    "AWS_SESSION_TOKEN": "the-users-token",
    "AWS_REGION": "mars-north-1",
    "RQ_SES_REDIS_URL": "redis://127.0.0.1:1/0",
    "RQ_SES_QUEUE": "elsewhere",
    "RQ_SES_MAX_ATTEMPTS": "not a number",
    "RQ_SES_CONFIG": "/nowhere.toml",
    "RQ_SES_SIMULATOR_RATE": "1",
    "RQ_KEY_PREFIX": "theirs",
    "http_proxy": "http://127.0.0.1:1",
    "HTTP_PROXY": "http://127.0.0.1:1",
}
"""What a user's shell may have set; none of it is the demo's business."""


def own_place(tmp_path: Path, **variables: str) -> dict[str, str]:
    """An environment whose temporary files are the test's, so that what is left behind can be seen."""
    return {**environment(**variables), "TMPDIR": str(tmp_path), "PYTHONUNBUFFERED": "1"}


@contextmanager
def started_demo(
    place: Path,
) -> Iterator[tuple[subprocess.Popen[bytes], Iterator[bytes], list[psutil.Process]]]:
    """Run a demo up to its first mails; yield it, its further output, and the processes it has started."""
    demo = subprocess.Popen(
        [sys.executable, "-m", "rq_ses", "demo"],
        env=own_place(place), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
    )  # fmt: skip
    assert demo.stdout
    lines = iter(demo.stdout.readline, b"")
    children: list[psutil.Process] = []
    try:
        assert next(line for line in lines if line.startswith(b"Enqueued 200 mails"))
        children = psutil.Process(demo.pid).children(recursive=True)
        yield demo, lines, children
    finally:
        for process in (demo, *children):
            if isinstance(process, psutil.Process) and not process.is_running():
                continue
            process.kill()
        demo.communicate()


def test_the_demo_tells_each_story_with_its_measured_delays_and_sess_words(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "rq_ses", "demo"],
        env=own_place(tmp_path, **HOSTILE), capture_output=True, text=True, timeout=100, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    shown = " ".join(done.stdout.split())
    assert f"Enqueued {sum(story.mails for story in STORIES)} mails in " in shown
    for story in STORIES:
        lines = done.stdout.splitlines()
        [number] = [number for number, line in enumerate(lines) if line.strip().startswith(story.title)]
        row = lines[number]
        assert f"{story.mails} {story.ends}" in row
        for promised in set(story.delays):
            delays = f"{row}\n{lines[number + 1]}"  # each has a line
            least, greatest = re.search(rf"{promised:g} s: ([\d.]+)–([\d.]+)", delays).groups()
            assert promised - verdicts.CLOCK_SLACK <= float(least) <= float(greatest)
        assert row.rstrip().endswith("yes")
        assert story.words in shown
    assert "BadRequestException: The input you provided is invalid." in shown
    assert "; gave up after 3 attempts" in shown
    assert re.search(r"\d\.\d s queued \d+ started \d+ scheduled \d+ finished \d+ failed \d+", shown)
    assert shown.endswith("All 200 mails ended as scripted.")
    assert "the-users-" not in done.stdout + done.stderr
    assert list(tmp_path.iterdir()) == []


def test_the_demo_says_in_three_short_lines_what_one_sees(tmp_path: Path) -> None:
    code, shown = run_on_terminal([sys.executable, "-m", "rq_ses", "demo"], own_place(tmp_path))
    assert code == 0
    introduction, _, rest = shown.partition("\r\n\r\n")
    lines = introduction.splitlines()
    assert len(lines) <= 3
    assert all(len(line) < 80 for line in lines)
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", rest)
    standings = [int(done) for done in re.findall(r"(\d+) of 200 have ended", plain)]
    assert len(standings) > 20
    assert standings == sorted(standings)
    assert standings[-1] == 200
    assert max(len(line) for line in plain.replace("\r", "\n").splitlines()) <= 100
    assert plain.rstrip().endswith("All 200 mails ended as scripted.")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_demo_that_is_interrupted_leaves_neither_processes_nor_files(
    tmp_path: Path, number: signal.Signals
) -> None:
    with started_demo(tmp_path) as (demo, lines, children):
        assert len(children) == 3
        demo.send_signal(number)
        assert b"interrupted: everything is being stopped and removed\n" in list(lines)
        assert demo.wait(30) == 128 + number
        assert not any(child.is_running() for child in children)
    assert list(tmp_path.iterdir()) == []


def test_ctrl_c_at_a_terminal_ends_the_demo_and_the_demo_ends_the_others(tmp_path: Path) -> None:
    with started_demo(tmp_path) as (demo, lines, children):
        # What a terminal does: it signals the whole foreground group; and the user presses again.
        os.killpg(demo.pid, signal.SIGINT)
        assert next(line for line in lines if line.startswith(b"interrupted"))
        os.killpg(demo.pid, signal.SIGINT)
        assert not any(b"Traceback" in line for line in lines)
        assert demo.wait(30) == 128 + signal.SIGINT
        assert not any(child.is_running() for child in children)
    assert list(tmp_path.iterdir()) == []


def test_under_nohup_the_demo_outlives_the_terminal(tmp_path: Path) -> None:
    program = (
        "import signal\n"
        "from rq_ses_worker.demo.command import _interruptible\n"
        "for name in ('SIGHUP', 'SIGINT'): signal.signal(signal.Signals[name], signal.SIG_IGN)\n"
        "with _interruptible():\n"
        "    signal.raise_signal(signal.SIGHUP)\n"
        "    signal.raise_signal(signal.SIGINT)\n"
        "    print('on')\n"
        "    signal.raise_signal(signal.SIGTERM)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (128 + signal.SIGTERM, "on\n"), done.stderr


# Its judgement, on true records and on doctored ones.

RETRIED = next(story for story in STORIES if story.delays == (1.0,) and story.ends == "finished")
DENIED = next(story for story in STORIES if story.words == "BadRequestException")


def request(at: float, answered_at: float, *, accepted: bool) -> dict[str, Any]:
    return {"at": at, "answered_at": answered_at, "message_id": "0100" if accepted else None}


def judged(story: Story, status: str, line: str, *requests: dict[str, Any]) -> list[str]:
    verdict = Verdict(story)
    verdicts._judge(verdict, Enqueued(story, "id", story.address(0)), status, line, requests)
    return verdict.problems


REFUSED, ACCEPTED = request(9.9, 10.0, accepted=False), request(11.001, 11.1, accepted=True)


def test_a_mail_that_lived_its_story_is_no_problem() -> None:
    assert judged(RETRIED, "finished", "", REFUSED, ACCEPTED) == []
    assert judged(DENIED, "failed", "BadRequestException: …", REFUSED) == []


@pytest.mark.parametrize(
    ("story", "status", "line", "requests", "problem"),
    [
        (RETRIED, "failed", "", [REFUSED, ACCEPTED], "failed, not finished"),
        (RETRIED, "scheduled", "", [REFUSED, ACCEPTED], "scheduled, not finished"),
        (RETRIED, "gone", "", [REFUSED, ACCEPTED], "gone, not finished"),
        (RETRIED, "finished", "", [ACCEPTED], "attempts: 1, not 2"),
        (RETRIED, "finished", "", [REFUSED, REFUSED], "accepted: 0 times, not 1"),
        (RETRIED, "finished", "", [ACCEPTED, ACCEPTED], "accepted: 2 times, not 1"),
        (
            RETRIED, "finished", "", [REFUSED, {**ACCEPTED, "at": 10.99}],
            "tried again after 0.990 s, not 1 s",
        ),
        (DENIED, "failed", "MessageRejected", [REFUSED], "'MessageRejected' does not say"),
        (DENIED, "failed", "", [], "attempts: 0, not 1"),
    ],
)  # fmt: skip
def test_a_mail_that_did_not_is_named_with_what_went_otherwise(
    story: Story, status: str, line: str, requests: list[dict[str, Any]], problem: str
) -> None:
    problems = judged(story, status, line, *requests)
    assert any(problem in found for found in problems), problems
    assert all(found.startswith(f"{story.address(0)}: ") for found in problems)


def test_the_demo_ends_with_code_one_if_a_mail_does_not_end_as_scripted_and_keeps_its_logs_if_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The demo as it is, started by a program that believes in another delay.
    program = tmp_path / "program.py"
    program.write_text(
        "from dataclasses import replace\n"
        "from rq_ses_worker.demo import command, stories, tables\n"
        "told = tuple(replace(s, mails=1, delays=(1.5,)) for s in stories.STORIES if s.delays == (1.0,))\n"
        "for module in (command, tables, stories):\n"
        "    module.STORIES = told\n"
        "command.demo()\n"
    )
    place = tmp_path / "place"
    place.mkdir()
    done = subprocess.run(
        [sys.executable, program, "--keep"], env=own_place(place), capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 1, done.stdout + done.stderr
    assert re.search(r"not as scripted: 503\.user0@faults\.example: tried again after 1\.0\d+ s, not 1\.5 s",
                     done.stdout)  # fmt: skip
    assert "ended as scripted" not in done.stdout
    [kept] = place.iterdir()
    assert done.stdout.endswith(f"data and logs: {kept}\n")
    assert (kept / "redis" / "appendonlydir").is_dir()
    assert "stopping: " in (kept / "processes.log").read_text()


def test_the_account_is_read_from_redis_and_the_simulator(
    redis: Redis, redis_url: str, ses: SimulatorServer, worker_env: dict[str, str], tmp_path: Path
) -> None:
    outbox = Outbox(redis_url)
    mails = [
        Enqueued(story, outbox.send(message(story, 0)).job_id, story.address(0))
        for story in (RETRIED, DENIED)
    ]
    assert verdicts.states(redis, mails) == {RETRIED.title: {"queued": 1}, DENIED.title: {"queued": 1}}
    assert run(["worker", "--burst"], worker_env).returncode == 1  # one is refused
    seen = verdicts.simulator_requests(ses.url)
    assert [verdict.problems for verdict in verdicts.verdicts(redis, mails, seen)] == [[], []]
    redis.delete(KEYS.job(mails[0].job_id))
    [retried, denied] = verdicts.verdicts(redis, mails, seen)
    assert retried.problems == [f"{mails[0].recipient}: gone, not finished"]
    assert denied.problems == []
    assert verdicts.states(redis, mails)[RETRIED.title] == {"gone": 1}
