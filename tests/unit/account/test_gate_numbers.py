"""How the numbers of an account's gate get into the texts of its scripts."""

from __future__ import annotations

import re
import struct

import pytest

from rq_ses import contract
from rq_ses.server.script import script_text
from rq_ses_worker.account.gate import GATE, PASSING, SCRIPTS
from rq_ses_worker.lifecycle import transitions
from rq_ses_worker.server.scripts import lua


def test_a_number_of_the_flow_is_written_as_its_place() -> None:
    assert script_text(["flow.mails = overflow.bad + flow.tokens"]) == "flow[1] = overflow.bad + flow[12]"


def test_a_number_that_the_flow_has_not_is_a_mistake() -> None:
    with pytest.raises(ValueError, match="not in tuple"):
        script_text(["flow.token = 1"])


def test_each_place_is_that_of_builds_before() -> None:
    """Old workers read the field, and write it."""
    assert (
        *("mails", "recipients", "bad", "a_at", "a_mails", "a_recipients", "a_bad", "b_at", "b_mails"),
        *("b_recipients", "b_bad", "tokens", "filled_at", "fixed", "rate", "low", "top", "lowered_at"),
        *("quota", "used", "counted", "mark", "ask_at", "answered", "refused", "passed", "preferred", "turn"),
    ) == contract.FLOW_NAMES
    assert contract.FLOW_FORMAT == ">" + "d" * 28
    assert contract.LUA_CONSTANTS["FLOW_SIZE"] == struct.calcsize(contract.FLOW_FORMAT) == 224


@pytest.mark.parametrize("parts", [(GATE, PASSING), *SCRIPTS.values(), transitions.SCRIPTS["claim"]])
def test_no_name_of_a_number_is_left_in_a_script(parts: tuple[str, ...]) -> None:
    code = re.sub(r"--.*", "", lua(*parts))
    assert not re.search(r"\bflow\.|\b(FLOW|RATE|QUOTA)_[A-Z]+", code)
