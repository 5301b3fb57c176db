"""What stands in the gate's Lua and in the Python that reads its hash, compared."""

from __future__ import annotations

import re
from importlib.resources import files

from rq_ses import gate

LUA = files("rq_ses_worker").joinpath("account/gate.lua").read_text()


def test_the_packed_field_has_the_same_numbers_in_the_same_order() -> None:
    read, packed = (
        re.search(pattern, LUA, re.DOTALL)
        for pattern in (r"\n  local (mails,[^=]*?) = struct\.unpack", r"struct\.pack\(FLOW, (.*?)\)")
    )
    named = re.search(r"return \{ (mails = .*?) \}", LUA, re.DOTALL)
    assert read
    assert packed
    assert named
    assert tuple(re.split(r",\s*", read[1])) == gate._FLOW_NAMES
    assert tuple(re.split(r",\s*", packed[1])) == tuple(f"flow.{name}" for name in gate._FLOW_NAMES)
    assert tuple(re.split(r",\s*", named[1])) == tuple(f"{name} = {name}" for name in gate._FLOW_NAMES)
    doubles = "d" * len(gate._FLOW_NAMES)
    assert f"local FLOW, SIZE = '>{doubles}', {len(doubles)} * 8\n" in LUA
    assert gate._FLOW.size == len(doubles) * 8


def test_a_lowered_rate_grows_and_ends_by_the_same_numbers() -> None:
    numbers = re.search(r"local INCREASE, FORGET = ([\d.]+), ([\d.]+)", LUA)
    assert numbers
    assert (float(numbers[1]), float(numbers[2])) == (gate._INCREASE, gate._FORGET)


def test_an_answer_about_the_day_counts_for_the_same_time() -> None:
    day = re.search(r"local DAY = (\d+)", LUA)
    assert day
    assert float(day[1]) == gate._DAY
