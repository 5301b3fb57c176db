"""The example apps as processes of their own, and what a browser asks of them."""

from __future__ import annotations

import json
import re
import urllib.error
import urllib.request
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlencode

from support.programs.processes import Process, running_module
from support.servers.ports import free_port
from support.waiting import wait_for

EXAMPLES: Final = Path(__file__).parents[3] / "examples"
SECONDS: Final = 2.0
"""So long a browser waits for a page, whatever has happened to Redis."""

_HIDDEN: Final = re.compile(r'type="hidden" name="(\w+)" value="([^"]+)"')


@dataclass(frozen=True, slots=True)
class Answer:
    """What a browser sees."""

    status: int
    text: str


class WebApp:
    """An example app that runs, and a browser in front of it."""

    def __init__(self, name: str, process: Process, port: int) -> None:
        self.name = name
        self._process = process
        self._url = f"http://127.0.0.1:{port}"
        self._browser = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())

    @property
    def log(self) -> str:
        return self._process.output

    def page(self, path: str = "/") -> Answer:
        # From a page of its own, so that Django tells its managers of a link that leads nowhere.
        return self._ask(path, None, Referer=f"{self._url}/")

    def sign_up(self, address: str) -> Answer:
        if self.name == "fastapi_app":
            body = json.dumps({"email": address}).encode()
            return self._ask("/signup", body, **{"Content-Type": "application/json"})
        return self._ask("/", urlencode({"email": address, **self._hidden()}).encode())

    def up(self) -> bool:
        """Tell whether it answers; one that has ended fails the test."""
        assert self._process.running, self.log
        try:
            return self.page().status == 200
        except OSError:  # URLError, or a server that takes connections and loads the app yet
            return False

    def _hidden(self) -> dict[str, str]:
        return dict(_HIDDEN.findall(self.page().text))

    def _ask(self, path: str, body: bytes | None, **headers: str) -> Answer:
        request = urllib.request.Request(f"{self._url}{path}", body, headers)
        try:
            with self._browser.open(request, timeout=SECONDS) as answer:
                return Answer(answer.status, answer.read().decode())
        except urllib.error.HTTPError as exc:
            with exc:
                return Answer(exc.code, exc.read().decode())


def started(name: str, env: Mapping[str, str], directory: Path, stack: ExitStack) -> WebApp:
    """Start an example behind the server that it names; it may not be up yet."""
    port, place = free_port(), str(EXAMPLES / name)
    gunicorn = ["gunicorn", "--chdir", place, "--threads", "2", "--bind", f"127.0.0.1:{port}"]
    command = {
        "django_site": [*gunicorn, "shop.wsgi"],
        "fastapi_app": ["uvicorn", "--app-dir", place, "--port", str(port), "app:app"],
        "flask_app": [*gunicorn, "app:app"],
    }[name]
    process = stack.enter_context(running_module(["-m", *command], env, directory / f"{name}.log"))
    return WebApp(name, process, port)


def all_up(apps: list[WebApp]) -> None:
    """Wait until each of them shows its page."""
    for app in apps:
        wait_for(app.up, within=30, every=0.05, what=app.name)


def examples() -> list[str]:
    """Return the names of all there are."""
    return sorted(path.name for path in EXAMPLES.iterdir() if path.is_dir())
