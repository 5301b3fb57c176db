"""The real rq-dashboard, and its pages' URLs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import requests

from support.programs.processes import environment, running_module
from support.servers.ports import free_port
from support.waiting import wait_for


class Dashboard:
    """The dashboard's URLs, as its pages call them."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._session = requests.Session()
        self._session.trust_env = False

    def get(self, path: str) -> requests.Response:
        return self._session.get(self.url + path, timeout=15)

    def data(self, path: str) -> Any:
        answer = self.get(f"/0/data/{path}.json")
        assert answer.status_code == 200, answer.text
        return answer.json()

    def post(self, path: str) -> Any:
        answer = self._session.post(self.url + path, timeout=15)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def answers(self) -> bool:
        try:
            return self.get("/").ok
        except requests.ConnectionError:
            return False

    def close(self) -> None:
        self._session.close()


@contextmanager
def rq_dashboard(redis_url: str, directory: Path, **variables: str) -> Iterator[Dashboard]:
    """Run rq-dashboard as its docs say for JSON jobs, until the block is left."""
    port = free_port()
    command = ["-m", "rq_dashboard", "-j", "-u", redis_url, "-b", "127.0.0.1", "-p", str(port)]
    command += ["--poll-interval", "500"]
    with running_module(command, environment(**variables), directory / "dashboard.log") as process:
        found = Dashboard(f"http://127.0.0.1:{port}")
        wait_for(lambda: found.answers() or not process.running)
        assert process.running, process.output
        yield found
        found.close()
