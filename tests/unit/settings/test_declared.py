"""A name that is no setting is refused, whoever reads it: in the environment, and in the settings file."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from rq_ses import Outbox
from rq_ses.errors import SettingsError
from rq_ses.settings.declared import describe, fields
from rq_ses.settings.environment import check_environment
from rq_ses.settings.gate import load_gate_settings
from rq_ses.settings.producer import load_producer_settings
from rq_ses_worker.settings.worker import WorkerSettings, load_worker_settings
from support.programs.processes import PATIENCE, environment

pytestmark = pytest.mark.usefixtures("no_settings")


def problems(**variables: str) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        check_environment(variables)
    return list(caught.value.problems)


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("RQ_SES_CONCURENCY", "RQ_SES_CONCURRENCY"),
        ("RQ_SES_QUEU", "RQ_SES_QUEUE"),
        ("RQ_SES_REDISURL", "RQ_SES_REDIS_URL"),
        ("RQ_SES_REDIS", "RQ_SES_REDIS_URL"),
        ("RQ_SES_LOGLEVEL", "RQ_SES_LOG_LEVEL"),
        ("RQ_SES_ENDPOINT_URL", "AWS_ENDPOINT_URL"),
        ("RQ_SES_REGION", "AWS_REGION"),
        ("RQ_SES_AWS_REGION", "AWS_REGION"),
        ("RQ_SES_ACCESS_KEY_ID", "AWS_ACCESS_KEY_ID"),
        ("RQ_SES_BASEURL", "RQ_SES_BASE_URL"),
        ("RQ_SES_SIMULATOR_QUOTAS", "RQ_SES_SIMULATOR_QUOTA"),
        ("rq_ses_concurency", "RQ_SES_CONCURRENCY"),
        ("rq_ses_config", "RQ_SES_CONFIG"),
        ("Rq_Ses_Queue", "RQ_SES_QUEUE"),
        ("rq_ses_simulator_port", "RQ_SES_SIMULATOR_PORT"),
    ],
)
def test_a_misspelt_variable_is_refused_with_the_one_that_is_meant(name: str, meant: str) -> None:
    assert problems(**{name: "1"}) == [f"{name} is not a setting: did you mean {meant}?"]


def test_all_unknown_variables_are_named_each_on_a_line() -> None:
    named = problems(RQ_SES_ZZZZ="1", RQ_SES_CONCURENCY="2", RQ_SES_QUEUE="mail", RQ_SES_="x")
    assert [line.partition(" ")[0] for line in named] == ["RQ_SES_", "RQ_SES_CONCURENCY", "RQ_SES_ZZZZ"]
    assert named[2] == "RQ_SES_ZZZZ is not a setting: remove it (docs/settings.md lists all that there are)"


def test_every_setting_and_every_option_of_the_simulator_is_known() -> None:
    names = [name for setting in describe(WorkerSettings) for name in setting.variables]
    check_environment(dict.fromkeys([*names, "RQ_SES_SIMULATOR_PORT", "RQ_SES_SIMULATOR_SESSION_TOKEN"], "1"))
    check_environment({"RQ_REDIS_URL": "x", "RQ_SESSION": "x"})


def test_an_empty_variable_counts_as_unset() -> None:
    check_environment({"RQ_SES_CONCURENCY": ""})


def test_what_kubernetes_tells_of_services_is_no_misspelling() -> None:
    links = {
        "RQ_SES_SERVICE_HOST": "10.0.0.1", "RQ_SES_SERVICE_PORT": "1", "RQ_SES_SERVICE_PORT_METRICS": "1",
        "RQ_SES_PORT": "tcp://10.0.0.1:9108", "RQ_SES_PORT_9108_TCP": "tcp://10.0.0.1:9108",
        "RQ_SES_PORT_9108_TCP_ADDR": "10.0.0.1", "RQ_SES_WORKER_SERVICE_HOST": "10.0.0.2",
        "RQ_SES_WORKER_PORT_80_TCP_PROTO": "tcp",
    }  # fmt: skip
    check_environment(links)
    assert len(problems(**links, RQ_SES_CONCURENCY="1")) == 1
    assert len(problems(RQ_SES_PORT="80")) == 1


@pytest.mark.parametrize(
    "load", [load_producer_settings, load_gate_settings, load_worker_settings, Outbox.from_env]
)
def test_whoever_loads_settings_refuses_it(load: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RQ_SES_CONCURENCY", "32")
    with pytest.raises(SettingsError, match="RQ_SES_CONCURENCY is not a setting: did you mean"):
        load()


def test_a_producer_refuses_a_misspelt_key_of_the_file_and_leaves_a_workers_alone(tmp_path: Path) -> None:
    path = tmp_path / "x.toml"
    path.write_text('[rq_ses]\nqueue = "news"\nconcurrency = 32\nlog_level = "debug"\naws_profile = "p"\n')
    assert load_producer_settings(config=str(path)).queue == "news"
    for text, said in {
        "[rq_ses]\nqueu = 'news'": "rq_ses.queu: is not known here: did you mean queue?",
        "[rq_ses]\nconcurency = 1": "rq_ses.concurency: is not known here: did you mean concurrency?",
        "[rq_ses]\nmiracle = 1": "rq_ses.miracle: is not known here: remove it, or use one of account,",
        "[rq_ses]\nbase_url = 'x'": "is not known here: write it as endpoints.transport.settings.base_url",
        "[rqses]\nqueue = 'x'": "rqses: is not known here: did you mean rq_ses?",
    }.items():
        path.write_text(text)
        with pytest.raises(SettingsError) as caught:
            load_producer_settings(config=str(path))
        (problem,) = caught.value.problems
        assert said in problem
        assert problem.startswith(f"{path}, ")


def test_a_file_that_windows_wrote_is_read(tmp_path: Path) -> None:
    path = tmp_path / "x.toml"
    path.write_bytes('\N{ZERO WIDTH NO-BREAK SPACE}[rq_ses]\r\nqueue = "news"\r\n'.encode())
    assert load_producer_settings(config=str(path)).queue == "news"


def test_the_workers_names_are_known_without_what_a_worker_needs() -> None:
    program = """\
import os, sys
sys.modules.update(dict.fromkeys(("requests", "urllib3", "dns", "prometheus_client", "aiohttp")))
from rq_ses.settings.environment import check_environment
check_environment({"RQ_SES_QUEUE": "mail"})
print("rq_ses_worker.settings.worker" in sys.modules)
check_environment({"RQ_SES_CONCURRENCY": "32", "RQ_SES_SIMULATOR_PORT": "1"})
try:
    check_environment({"RQ_SES_CONCURENCY": "32"})
except ValueError as exc:
    print(exc)
"""
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=environment(), capture_output=True, text=True, timeout=PATIENCE, check=False,
    )  # fmt: skip
    assert done.stderr == ""
    assert done.stdout.splitlines() == [
        "False",
        "RQ_SES_CONCURENCY is not a setting: did you mean RQ_SES_CONCURRENCY?",
    ]
    assert {"queue", "concurrency", "account"} <= fields()


def test_a_region_that_is_wrong_in_the_file_is_named_as_the_files(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("AWS_REGION", "AWS_DEFAULT_REGION", "RQ_SES_CONFIG"):
        monkeypatch.delenv(name, raising=False)
    path = tmp_path / "x.toml"
    path.write_text('endpoints.transport = {type = "ses", settings = {region = "us east"}}')
    with pytest.raises(SettingsError, match=rf"^AWS_REGION: 'us east' is not .* \(in {path}\)$"):
        load_gate_settings(config=str(path))
    assert load_gate_settings(config=str(path), aws_region="eu-west-1").aws_region == "eu-west-1"
    monkeypatch.setenv("AWS_REGION", "eu-west-2")
    assert load_gate_settings(config=str(path)).aws_region == "eu-west-2"
