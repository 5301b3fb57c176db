"""Prometheus, its alerts and Grafana's dashboard ask for series that a real worker has."""

from __future__ import annotations

import json
import re
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families
from redis import Redis

from rq_ses import Outbox
from rq_ses_worker.simulator.server import SimulatorServer
from support.mails.mail import mail, status
from support.pages.promql import Selector, grouping_labels, selectors
from support.programs.compose import ROOT, load
from support.programs.processes import KEY_ID, SECRET, TOKEN, running, worker_environment
from support.servers.ports import free_port
from support.servers.valkey import url, valkey
from support.waiting import PATIENCE, wait_for

CONFIG = ROOT / "compose"
PROVISIONED = CONFIG / "grafana" / "provisioning"
FROM_PROMETHEUS = {"job", "instance"}


def read(path: Path) -> Any:
    return yaml.safe_load(path.read_text())


def alerts() -> dict[str, dict[str, Any]]:
    rules = [rule for group in read(CONFIG / "alerts.yml")["groups"] for rule in group["rules"]]
    found = {rule["alert"]: rule for rule in rules}
    assert len(found) == len(rules), "two alerts have one name"
    return found


def dashboard() -> dict[str, Any]:
    found = json.loads((CONFIG / "grafana" / "dashboards" / "rq-ses.json").read_text())
    assert isinstance(found, dict)
    return found


def panels() -> list[dict[str, Any]]:
    return [panel for panel in dashboard()["panels"] if panel["type"] != "row"]


def queries() -> dict[str, str]:
    """Every query by the alert or panel that makes it."""
    found = {name: rule["expr"] for name, rule in alerts().items()}
    for panel in panels():
        for target in panel["targets"]:
            found[f"{panel['title']} {target['refId']}"] = target["expr"]
    return found


# What a worker has


@dataclass(frozen=True)
class Series:
    """The samples of a worker: the label sets of each name."""

    labels: dict[str, list[dict[str, str]]]

    def fits(self, wanted: Selector) -> bool:
        """Tell whether some series has every label that is asked for, with the value where one is named."""
        if wanted.name == "up":
            return {label for label, _, _ in wanted.matchers} <= FROM_PROMETHEUS
        return any(
            all(_fits(found, *matcher) for matcher in wanted.matchers)
            for found in self.labels.get(wanted.name, [])
        )


def _fits(labels: dict[str, str], label: str, kind: str, value: str) -> bool:
    if label in FROM_PROMETHEUS:
        return True
    if label not in labels:
        return False
    same = re.fullmatch(value, labels[label]) if kind.endswith("~") else value == labels[label]
    return bool(same) is (not kind.startswith("!"))


@pytest.fixture(scope="module")
def series(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Series]:
    """What a worker shows after mails that were sent, refused, and told to come again."""
    directory = tmp_path_factory.mktemp("monitoring")
    place = f"127.0.0.1:{free_port()}"
    with (
        valkey(directory / "valkey") as server,
        SimulatorServer(KEY_ID, SECRET, TOKEN, quota=1000, rate=100) as ses,
        Redis(port=server.port) as redis,
    ):
        hook = {"RQ_SES_WEBHOOK_URL": "http://127.0.0.1:1/", "RQ_SES_WEBHOOK_SECRET": "of a webhook in tests"}
        env = worker_environment(url(server), ses.url, RQ_SES_METRICS=place, **hook)
        outbox = Outbox(url(server))
        jobs = {
            outbox.send(mail(address), priority=priority).job_id: end
            for address, priority, end in (
                ("anna@example.com", "high", "finished"),
                ("ben@example.com", "normal", "finished"),
                ("429.carl@faults.example", "bulk", "scheduled"),
                ("reject.dora@faults.example", "normal", "failed"),
            )
        }
        with running(["worker"], env, directory / "log") as worker:
            wait_for(lambda: {job: status(redis, job) for job in jobs} == jobs or not worker.running)
            assert worker.running, worker.output
            wait_for(lambda: redis.xinfo_groups("rq:ses:outcomes"))
            yield _scraped(f"http://{place}/metrics")
        outbox.connection.close()


def _scraped(url: str) -> Series:
    with urllib.request.urlopen(url, timeout=PATIENCE) as answer:
        text = answer.read().decode()
    labels: dict[str, list[dict[str, str]]] = {}
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            labels.setdefault(sample.name, []).append(sample.labels)
    return Series(labels)


@pytest.mark.parametrize("place", sorted(queries()))
def test_a_query_asks_for_series_that_a_worker_has(place: str, series: Series) -> None:
    query = queries()[place]
    wanted = selectors(query)
    assert wanted, f"{query!r} reads nothing of ours"
    for selector in wanted:
        assert series.fits(selector), f"{selector} isn't among {series.labels.get(selector.name)}"
    known = {label for one in wanted for labels in series.labels.get(one.name, []) for label in labels}
    assert grouping_labels(query) <= known | FROM_PROMETHEUS


def test_every_metric_of_a_worker_is_shown_on_the_dashboard(series: Series) -> None:
    shown = {one.name for panel in panels() for t in panel["targets"] for one in selectors(t["expr"])}
    ours = {name for name in series.labels if name.startswith("rq_ses_")}
    kinds = ("_bucket", "_count", "_sum", "_created")
    stems = {re.sub(rf"({'|'.join(kinds)})$", "", name) for name in ours}
    assert stems <= {re.sub("_bucket$", "", name) for name in shown}


def test_selectors_are_read_from_queries() -> None:
    query = 'sum by (queue) (rate(rq_ses_x_total{queue!~".+-high", job="$job"}[5m])) / on (job) up'
    matchers = (("queue", "!~", ".+-high"), ("job", "=", "$job"))
    assert selectors(query) == [Selector("rq_ses_x_total", matchers), Selector("up", ())]
    assert grouping_labels(query) == {"queue", "job"}


# What is configured


def test_prometheus_finds_every_worker_where_it_serves_its_metrics() -> None:
    config = read(CONFIG / "prometheus.yml")
    [job] = config["scrape_configs"]
    [found] = job["dns_sd_configs"]
    worker = load()["services"]["worker"]
    assert found["names"] == ["worker"]
    assert worker["environment"]["RQ_SES_METRICS"] == f"0.0.0.0:{found['port']}"
    # The alerts and the dashboard's first choice go by it.
    assert job["job_name"] == "rq-ses"
    named = {job for query in queries().values() for job in re.findall(r'job="([^"]*)"', query)}
    assert named <= {"rq-ses", "$job"}


def test_what_is_mounted_exists_and_can_not_be_changed() -> None:
    services = load()["services"]
    for name in ("prometheus", "grafana"):
        service = services[name]
        assert service["profiles"] == ["monitoring"]
        assert service["read_only"] is True
        mounts = [volume.split(":") for volume in service["volumes"] if volume.startswith("./")]
        assert mounts
        for source, target, *mode in mounts:
            assert (ROOT / source).exists()
            assert target.startswith("/etc/")
            assert mode == ["ro"]
        assert not re.search(r":latest$|^[^:]+$", service["image"]), "pinned by a tag"
    targets = {v.split(":")[1] for v in services["prometheus"]["volumes"]}
    assert set(read(CONFIG / "prometheus.yml")["rule_files"]) <= targets


def test_grafana_is_led_to_prometheus_and_to_the_dashboard() -> None:
    [source] = read(PROVISIONED / "datasources" / "prometheus.yml")["datasources"]
    assert source["url"] == "http://prometheus:9090"
    [provider] = read(PROVISIONED / "dashboards" / "rq-ses.yml")["providers"]
    grafana = load()["services"]["grafana"]
    assert f"./compose/grafana/dashboards:{provider['options']['path']}:ro" in grafana["volumes"]
    home = Path(grafana["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"])
    assert (home.parent, home.name) == (Path(provider["options"]["path"]), "rq-ses.json")
    used = {json.dumps(one["datasource"]) for panel in panels() for one in (panel, *panel["targets"])}
    assert used == {json.dumps({"type": source["type"], "uid": source["uid"]})}


def test_an_alert_says_how_grave_it_is_what_is_wrong_and_what_to_do() -> None:
    assert len(alerts()) >= 8
    for name, rule in alerts().items():
        assert name.startswith("RqSes")
        assert rule["labels"]["severity"] in ("critical", "warning")
        assert re.fullmatch(r"\d+m", rule.get("for", "0m")), name
        assert rule["annotations"].keys() == {"summary", "description"}


def test_the_panels_stand_side_by_side() -> None:
    everything = dashboard()["panels"]
    assert len({panel["id"] for panel in everything}) == len(everything)
    assert len({panel["title"] for panel in everything}) == len(everything)
    for panel in everything:
        place = panel["gridPos"]
        assert 0 <= place["x"] < place["x"] + place["w"] <= 24
    for one, other in combinations((panel["gridPos"] for panel in everything), 2):
        apart = (
            one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
            or one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
        )  # fmt: skip
        assert apart, (one, other)
