"""Contestants that take turns, and the table of what they came to."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from statistics import median

Round = dict[str, float]
"""Figures by their name and unit, of one contestant in one round."""

Measure = Callable[[], Round]


def alternate(contestants: Sequence[Measure], rounds: int, *, title: str) -> list[tuple[Round, ...]]:
    """Let each contestant have so many rounds, in order and then in reverse order, and so on."""
    found = []
    for number in range(rounds):
        order = list(enumerate(contestants))
        if number % 2:
            order.reverse()
        figures = {place: measure() for place, measure in order}
        found.append(tuple(figures[place] for place in range(len(contestants))))
        print(f"{title}: {number + 1} of {rounds}", file=sys.stderr, flush=True)
    return found


def table(title: str, names: Sequence[str], rounds: Sequence[tuple[Round, ...]]) -> str:
    """Return medians as a table in Markdown, and the ratio of the second contestant to each other.

    A ratio is taken within a round; the table has their median, the least and the greatest.
    """
    others = [place for place in range(len(names)) if place != 1]
    head = [title, *names, *("ratio" if place == 0 else f"to {names[place]}" for place in others)]
    lines = [_row(head), _row(["---", *("---:" for _ in head[1:])])]
    figures = dict.fromkeys(figure for one in rounds[0] for figure in one)
    for figure in figures:
        cells = [_median(rounds, place, figure) for place in range(len(names))]
        lines.append(_row([figure, *cells, *(_ratio(rounds, place, figure) for place in others)]))
    return "\n".join(lines)


def _median(rounds: Sequence[tuple[Round, ...]], place: int, figure: str) -> str:
    values = [of[place][figure] for of in rounds if figure in of[place]]
    return f"{median(values):,.1f}" if values else ""


def _ratio(rounds: Sequence[tuple[Round, ...]], place: int, figure: str) -> str:
    ratios = [
        of[1][figure] / of[place][figure]
        for of in rounds
        if figure in of[1] and figure in of[place] and of[place][figure]
    ]
    return f"{median(ratios):.3f} ({min(ratios):.3f}–{max(ratios):.3f})" if ratios else ""


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
