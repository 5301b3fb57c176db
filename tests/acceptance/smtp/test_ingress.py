"""`rq-ses smtp` as an operator runs it: killed, without Redis, stopped, set up wrongly."""

from __future__ import annotations

import json
import signal
import smtplib
import threading
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from redis import Redis

from rq_ses_worker.simulator.server import SimulatorServer
from support.mails.keys import KEYS
from support.programs.processes import environment, run, worker_environment
from support.servers.durable import DurableValkey
from support.servers.ports import free_port
from support.servers.valkey import serving, url
from support.smtp.process import sent, smtp_ingress
from support.waiting import PATIENCE, wait_for

CLIENTS, EACH = 4, 40


def content(number: int) -> bytes:
    return b"From: ann@example.com\r\nMessage-ID: <%d@example.com>\r\n\r\nHi\r\n" % number


def insist(port: int, number: int, over: threading.Event) -> None:
    """Send a mail again and again, as a mail server does, until it is taken."""
    while not over.is_set():
        try:
            with smtplib.SMTP("127.0.0.1", port, timeout=PATIENCE) as client:
                client.sendmail("ann@example.com", [f"{number}@example.org"], content(number))
        except (OSError, smtplib.SMTPException):
            over.wait(0.02)
        else:
            return


@pytest.mark.timeout(180)
def test_whoever_is_killed_each_mail_is_sent_once(tmp_path: Path, ses: SimulatorServer) -> None:
    server = DurableValkey(tmp_path / "valkey")
    server.start()
    port, over = free_port(), threading.Event()
    env = worker_environment(server.url, ses.url)
    try:
        with ThreadPoolExecutor(CLIENTS) as clients:
            numbers = iter(range(CLIENTS * EACH))
            load = [clients.submit(insist, port, number, over) for number in numbers]

            def taken(count: int) -> None:
                wait_for(lambda: sum(one.done() for one in load) >= count, within=60)

            try:
                for turn in (1, 2):
                    with smtp_ingress(env, tmp_path / "log", port=port) as (ingress, _):
                        taken(turn * 40 - 20)
                        server.kill()
                        server.start()
                        taken(turn * 40)
                        ingress.kill(signal.SIGKILL)
                with smtp_ingress(env, tmp_path / "log", port=port):
                    taken(len(load))
            finally:
                over.set()
        finished = run(["worker", "--burst", "--max-wait", "20"], env)
        assert finished.returncode == 0, finished.stderr
    finally:
        server.kill()
    found = sent(ses)
    assert sorted(found) == sorted(((f"{n}@example.org",), content(n)) for n in range(CLIENTS * EACH))


def told(address: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(address, timeout=PATIENCE) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as exc:
        with exc:
            return exc.code, exc.read().decode()


def test_it_waits_for_redis_and_says_so_to_clients_and_to_who_asks(tmp_path: Path) -> None:
    redis_port, metrics = free_port(), free_port()
    env = environment(
        RQ_SES_REDIS_URL=f"redis://127.0.0.1:{redis_port}/0", RQ_SES_LOG_FORMAT="json", RQ_SES_LOG_SENT="1"
    )
    page = f"http://127.0.0.1:{metrics}"
    with smtp_ingress(env, tmp_path / "log", "--metrics", str(metrics)) as (ingress, port):

        def answer() -> int:
            with smtplib.SMTP("127.0.0.1", port) as client:
                client.ehlo()
                return client.mail("ann@example.com")[0]

        assert answer() == 451
        assert told(f"{page}/healthz") == (200, "ok\n")
        status, why = told(f"{page}/readyz")
        assert status == 503
        assert why.startswith("Redis has not been reached yet")
        with serving({"appendonly": "yes"}, redis_port, data_dir=tmp_path, persist=True) as server:
            wait_for(lambda: answer() == 250)
            assert told(f"{page}/readyz") == (200, "ok\n")
            with smtplib.SMTP("127.0.0.1", port) as client:
                client.sendmail("ann@example.com", ["ben@example.org"], content(1))
                client.sendmail("ann@example.com", ["ben@example.org"], content(1))
            with Redis.from_url(url(server)) as redis:
                assert redis.llen(KEYS.queue("mail")) == 1
        with smtplib.SMTP("127.0.0.1", port) as client, pytest.raises(smtplib.SMTPDataError) as caught:
            client.sendmail("ann@example.com", ["ben@example.org"], content(2))
        assert caught.value.smtp_code == 451
        text = told(f"{page}/metrics")[1]
        assert 'rq_ses_smtp_mails_total{kind="new"} 1.0' in text
        assert 'rq_ses_smtp_mails_total{kind="repeated"} 1.0' in text
        assert "rq_ses_redis_up 0.0" in text
        assert ingress.stop() == 0
    events = [json.loads(line)["event"] for line in ingress.output.splitlines()]
    assert events[0] == "monitor.listens"
    assert [name for name in events if name.startswith("redis.")][:2] == ["redis.away", "redis.back"]
    assert events.count("smtp.taken") == 2
    assert events[-1] == "smtp.stopping"
    assert "ann@example.com" not in ingress.output


def test_a_signal_rereads_the_users_and_another_ends_it(redis_url: str, tmp_path: Path) -> None:
    users = tmp_path / "users"
    done = run(["smtp", "hash-password", "ann"], environment(), stdin="correct horse\n")
    users.write_text(done.stdout)
    env = environment(RQ_SES_REDIS_URL=redis_url)
    options = ("--users", str(users), "--networks", "none")
    with smtp_ingress(env, tmp_path / "log", *options) as (ingress, port), smtplib.SMTP(port=port) as client:
        client.connect("127.0.0.1", port)
        assert client.login("ann", "correct horse")[0] == 235
        users.write_text("nonsense\n")
        ingress.kill(signal.SIGHUP)
        wait_for(lambda: "[smtp.not_reread]" in ingress.output)
        users.write_text(done.stdout)
        ingress.kill(signal.SIGHUP)
        wait_for(lambda: "[smtp.reread]" in ingress.output)
        assert ingress.stop(signal.SIGINT) == 0
        assert client.getreply() == (421, b"4.3.2 The service is being stopped; send it again later")


def test_a_port_that_is_taken_and_a_redis_that_would_lose_mails_end_it(tmp_path: Path) -> None:
    config = {"maxmemory": "100mb", "maxmemory-policy": "allkeys-lru"}
    with serving(config) as server:
        env = environment(RQ_SES_REDIS_URL=url(server))
        taken = run(["smtp", "--listen", str(server.port)], env)
        assert taken.returncode == 3
        assert "RQ_SES_SMTP_LISTEN: can't listen on 127.0.0.1:" in taken.stderr
        unfit = run(["smtp", "--listen", "0"], env)
        assert unfit.returncode == 5
        assert "evicts queued mails when memory is short; set: maxmemory-policy noeviction" in unfit.stderr
        assert "Traceback" not in unfit.stderr
