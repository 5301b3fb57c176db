"""The page of the dashboard."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page

UNFADED = """
document.addEventListener("DOMContentLoaded", () => {
  document.getElementById("confirmation-modal")?.classList.remove("fade");
});
"""


@pytest.fixture
def page(page: Page) -> Page:
    """A page whose questions don't fade in: until they have, they can't be closed."""
    page.add_init_script(UNFADED)
    return page
