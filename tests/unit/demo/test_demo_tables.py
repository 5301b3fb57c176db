"""What the demo draws, on a terminal of 80 columns."""

from __future__ import annotations

from collections import Counter

import pytest
from rich.console import Console, RenderableType

from rq_ses_worker.demo import tables
from rq_ses_worker.demo.stories import STORIES
from rq_ses_worker.demo.verdicts import Verdict

VERDICTS = [
    Verdict(story, Counter(finished=story.mails), Counter({3: 1}), {1.0: [1.003, 1.007], 5.0: [5.019, 5.024]})
    for story in STORIES
]


@pytest.mark.parametrize("drawn", [tables.standing({}, 100.0), tables.stories(VERDICTS)])
def test_each_story_has_one_line_of_80_columns(drawn: RenderableType) -> None:
    screen = Console(width=80)
    with screen.capture() as capture:
        screen.print(drawn)
    lines = capture.get().splitlines()
    assert max(map(len, lines)) <= 80
    for story in STORIES:
        assert len([line for line in lines if line.startswith(f"  {story.title} ")]) == 1


def test_each_delay_stands_whole_in_a_line() -> None:
    screen = Console(width=80)
    with screen.capture() as capture:
        screen.print(tables.stories(VERDICTS))
    assert capture.get().count("1 s: 1.003–1.007") == capture.get().count("5 s: 5.019–5.024") == len(STORIES)
