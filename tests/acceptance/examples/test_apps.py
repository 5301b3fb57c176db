"""The example apps behind real servers: used over HTTP, with a worker, and with Redis gone."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from rq_ses_worker.simulator.server import SimulatorServer
from support.outside.webapps import WebApp, all_up, examples, started
from support.programs.processes import KEY_ID, SECRET, TOKEN, environment, running, worker_environment
from support.servers.durable import DurableValkey
from support.waiting import wait_for

APPS = examples()
JOB = re.compile(r"\bjob\W+([\w-]{22,})")


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DurableValkey]:
    with DurableValkey(tmp_path_factory.mktemp("valkey")) as server:
        yield server


@pytest.fixture(scope="module")
def ses() -> Iterator[SimulatorServer]:
    with SimulatorServer(KEY_ID, SECRET, TOKEN) as server:
        yield server


@pytest.fixture(scope="module")
def apps(
    redis: DurableValkey, ses: SimulatorServer, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, WebApp]]:
    """All of them, and the worker that sends their mails."""
    directory = tmp_path_factory.mktemp("apps")
    with ExitStack() as stack:
        env = environment(RQ_SES_REDIS_URL=redis.url)
        found = [started(name, env, directory, stack) for name in APPS]
        env = worker_environment(redis.url, ses.url)
        stack.enter_context(running(["worker", "--concurrency", "2"], env, directory / "worker.log"))
        all_up(found)
        yield {app.name: app for app in found}


@pytest.fixture(params=APPS)
def app(request: pytest.FixtureRequest, apps: dict[str, WebApp]) -> WebApp:
    return apps[request.param]


def test_who_signs_up_twice_gets_one_mail(app: WebApp, ses: SimulatorServer) -> None:
    address = f"anna@{app.name.replace('_', '-')}.example"
    answers = [app.sign_up(address) for _ in range(2)]
    assert all(answer.status in (200, 202) for answer in answers), answers
    jobs = [JOB.findall(answer.text) for answer in answers]
    assert jobs[0] == jobs[1] != []
    [mail] = wait_for(lambda: [mail for mail in ses.mails if address in mail.recipients])
    assert mail.parsed.subject == "Welcome"
    assert mail.parsed.text.startswith("You have signed up.")


def test_what_is_no_address_is_refused_in_words(app: WebApp) -> None:
    answer = app.sign_up("anna@")
    assert answer.status == 422
    assert "is not an e-mail address" in answer.text


def test_while_redis_is_away_its_pages_answer_and_afterwards_it_sends(
    app: WebApp, redis: DurableValkey, ses: SimulatorServer
) -> None:
    address = f"ben@{app.name.replace('_', '-')}.example"
    redis.kill()
    try:
        refused, page, missing = app.sign_up(address), app.page(), app.page("/missing")
    finally:
        redis.start()
    assert (refused.status, page.status, missing.status) == (503, 200, 404)
    assert str(redis.port) not in refused.text
    assert "try again" in refused.text.lower()
    wait_for(lambda: app.sign_up(address).status in (200, 202))
    wait_for(lambda: [mail for mail in ses.mails if address in mail.recipients])
    assert "Traceback" not in app.log
