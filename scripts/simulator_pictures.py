"""The pictures of the simulator's page: called by screenshots.py."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

from playwright.sync_api import Browser, Page

from rq_ses import Attachment, Message
from rq_ses_worker.ses.client import SesClient
from rq_ses_worker.ses.credentials import Credentials
from rq_ses_worker.ses.endpoint import Endpoint
from rq_ses_worker.simulator.server import SimulatorServer
from support.programs.browser import opened_page
from support.programs.processes import KEY_ID, SECRET

LIMIT: Final = 150 * 1024
"""Bytes of a picture: the repository keeps every version of it."""

HTML: Final = """\
<div style="font-family: sans-serif; max-width: 34rem; margin: auto; border: 1px solid #ddd; padding: 1.5rem">
<h2 style="margin-top: 0; color: #0b57b0">Your order is on its way</h2>
<p>Hello Anna, your order <b>4711</b> left our house this morning.</p>
<table style="width: 100%; border-collapse: collapse"><tr><td>1 tea pot</td><td align="right">39.00</td></tr>
<tr><td>2 cups</td><td align="right">18.00</td></tr></table></div>
"""


def take(browser: Browser, images: Path) -> None:
    """Write simulator-….png. Raises ValueError when one is larger than the limit."""
    with ExitStack() as stack:
        ses = stack.enter_context(SimulatorServer(KEY_ID, SECRET, rate=100, quota=50_000, events=[shop]))
        _send(ses, stack)
        for name, (show, height) in _PICTURES.items():
            with opened_page(browser) as page:
                page.set_viewport_size({"width": 1200, "height": height})
                show(page, ses.url)
                picture = page.screenshot(animations="disabled")
            if len(picture) > LIMIT:
                raise ValueError(f"{name}.png: {len(picture)} bytes are more than {LIMIT}")
            (images / f"{name}.png").write_bytes(picture)


def _send(ses: SimulatorServer, stack: ExitStack) -> None:
    """Let a little of everything happen."""
    ses.faults.script("carl@customer.example", ["429x2", "503"])
    ses.faults.script("dora@customer.example", ["slow-1.5"])
    ses.faults.script("eve@customer.example", ["rejectx1"])
    good, bad = (
        stack.enter_context(SesClient(Credentials(KEY_ID, secret), Endpoint("us-east-1", ses.url)))
        for secret in (SECRET, "not-the-secret")
    )
    good.send(_mail("bounce@simulator.amazonses.com", "Your weekly offers"))
    bad.send(_mail("ben@customer.example", "Your password was changed"))
    good.send(_mail("eve@customer.example", "Please confirm your address"))
    for _ in range(2):
        good.send(_mail("carl@customer.example", "Your invoice of May"))
    order = _mail(
        "Anna Öz <anna@customer.example>",
        "Your order 4711 is on its way",
        html=HTML,
        tags={"campaign": "shipping"},
        reply_to=["help@shop.example"],
        headers={"List-Unsubscribe": "<https://shop.example/off>"},
        attachments=[Attachment(filename="invoice-4711.pdf", content=b"%PDF" + b" " * 9000)],
    )
    good.send(order)


def shop(_environ: Any, start_response: Any) -> list[bytes]:
    """Stand for the app that is told of events."""
    start_response("200 OK", [])
    return []


def _mail(to: str, subject: str, **fields: Any) -> Message:
    sender = "Shop <orders@shop.example>"
    return Message(**{"sender": sender, "to": [to], "subject": subject, "text": "Hello, …", **fields})


def _inbox(page: Page, url: str) -> None:
    page.goto(url)
    page.get_by_role("link", name="Your order 4711").wait_for()


def _detail(page: Page, url: str) -> None:
    _inbox(page, url)
    page.get_by_role("link", name="Your order 4711").click()
    page.frame_locator("iframe").get_by_text("tea pot").wait_for()


def _faults(page: Page, url: str) -> None:
    page.goto(f"{url}/_simulator/view/faults")
    page.get_by_text("carl@customer.example").wait_for()


def _events(page: Page, url: str) -> None:
    page.goto(f"{url}/_simulator/view/events")
    page.get_by_text("bounce@simulator.amazonses.com").first.wait_for()


_PICTURES: Final[dict[str, tuple[Callable[[Page, str], None], int]]] = {
    "simulator-inbox": (_inbox, 730),
    "simulator-detail": (_detail, 800),
    "simulator-faults": (_faults, 620),
    "simulator-events": (_events, 650),
}
