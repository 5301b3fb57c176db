"""The simulator's page on a phone, a tablet and a desk: nothing runs out of it, no word is broken."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.sync_api import Page

from rq_ses_worker.ses.client import SesClient
from rq_ses_worker.ses.credentials import Credentials
from rq_ses_worker.ses.endpoint import Endpoint
from rq_ses_worker.simulator.server import SimulatorServer
from support.mails.mail import mail
from support.programs.processes import KEY_ID, SECRET, TOKEN

WIDTHS = (320, 390, 768, 1024, 1140, 1280, 1920)
VIEWS = (
    "/",
    "/_simulator/view/faults",
    "/_simulator/view/events",
    "/_simulator/view/templates",
    "/_simulator/view/requests/1",
    "/_simulator/view/requests/4",
)
LONG = f"{'a' * 64}@{'b' * 60}.customer.example"

BROKEN = """limit => {
  const found = [];
  const texts = document.createTreeWalker(document.querySelector("main"), NodeFilter.SHOW_TEXT);
  for (let text = texts.nextNode(); text; text = texts.nextNode()) {
    for (const word of text.data.matchAll(/[^\\s-]+/g)) {
      const range = document.createRange();
      range.setStart(text, word.index);
      range.setEnd(text, word.index + word[0].length);
      const lines = new Set([...range.getClientRects()].map(rect => Math.round(rect.top)));
      if (word[0].length <= limit && lines.size > 1) found.push(word[0]);
    }
  }
  return found;
}"""
"""Words of at most `limit` characters that stand on more than one line."""


@pytest.fixture(scope="module")
def simulator() -> Iterator[SimulatorServer]:
    """A simulator that has seen short and long mails, accepted and refused, and has scripts."""
    with SimulatorServer(KEY_ID, SECRET, TOKEN, events=["http://127.0.0.1:1/ses/" + "events/" * 12]) as ses:
        ses.faults.script("carl@customer.example", ["429x2", "503"])
        ses.faults.script(
            "wilhelmina.featherstonehaugh@university.example", ["429x2", "503", "slow-2.5", "reject"]
        )
        ses.add_template("welcome-of-new-customers", f"Welcome, {{{{{'name' * 12}}}}}", html="<p>Hello</p>")
        ses.add_template("w" * 64, "x" * 300, text="Hello " + "there" * 40)
        for secret in (SECRET, "another-secret-than-the-simulators"):
            with SesClient(Credentials(KEY_ID, secret, TOKEN), Endpoint("us-east-1", ses.url)) as client:
                client.send(mail("anna@customer.example", subject="Your order 4711 is on its way"))
                client.send(mail("carl@customer.example", subject="Your invoice of May"))
                client.send(mail(LONG, subject="The " + "long story " * 24, sender=f"Shop <{LONG}>"))
                client.send(
                    mail(f'Wilhelmina <"w. featherstonehaugh"@{"c" * 40}.example>', subject="x" * 300)
                )
        yield ses


@pytest.mark.parametrize("width", WIDTHS)
def test_no_page_is_wider_than_the_window_and_no_word_is_broken(
    simulator: SimulatorServer, page: Page, width: int
) -> None:
    page.set_viewport_size({"width": width, "height": 900})
    # As long as the longest code of an error, but on a phone, where an address has less room.
    limit = 26 if width >= 390 else 20
    for view in VIEWS:
        page.goto(simulator.url + view)
        # Unfolded, as it is read: what is folded has no place of its own yet.
        page.evaluate("for (const one of document.querySelectorAll('details')) one.open = true")
        assert page.evaluate("document.documentElement.scrollWidth") <= width, view
        assert page.evaluate(BROKEN, limit) == [], view


@pytest.mark.parametrize("width", [390, 768, 1280])
def test_the_inbox_is_read_without_scrolling_sideways_and_a_subject_has_room(
    simulator: SimulatorServer, page: Page, width: int
) -> None:
    page.set_viewport_size({"width": width, "height": 900})
    page.goto(simulator.url)
    assert page.evaluate(
        "[...document.querySelectorAll('.scroll')].map(e => e.scrollWidth - e.clientWidth)"
    ) == [0]
    subjects = page.locator("td.subject")
    assert subjects.count() == 8
    widths = subjects.evaluate_all("cells => cells.map(cell => cell.getBoundingClientRect().width)")
    assert min(widths) >= 190
    heights = (
        page.get_by_role("row")
        .filter(has_text="Your order 4711")
        .evaluate_all("rows => rows.map(row => row.getBoundingClientRect().height)")
    )
    assert max(heights) <= 180


def test_cards_on_a_phone_are_still_a_table_to_a_screen_reader(
    simulator: SimulatorServer, page: Page
) -> None:
    page.set_viewport_size({"width": 390, "height": 900})
    page.goto(simulator.url)
    assert page.get_by_role("table", name="Mails, the newest first").count() == 1
    row = page.get_by_role("row").filter(has_text="Your order 4711").last
    assert row.get_by_role("cell").count() == 5
    assert page.get_by_role("columnheader").all_inner_texts() == ["Time", "From", "To", "Subject", "Outcome"]
    label = (
        row.get_by_role("cell")
        .filter(has_text="anna@")
        .evaluate("cell => getComputedStyle(cell, '::before').content")
    )
    assert label == '"To"'
