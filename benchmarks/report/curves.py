"""The growth curves as a picture."""

from __future__ import annotations

from pathlib import Path
from statistics import median
from typing import Any

import matplotlib as mpl

mpl.use("Agg")

from matplotlib import pyplot as plt

_INK, _FAINT = "#1f4e79", "#9db8d2"


def draw_growth(growth: dict[str, Any], path: Path) -> None:
    """Draw drain rate, enqueue rate and memory over the queue's length."""
    lengths = growth["lengths"]
    queued = [length["queued"] for length in lengths]
    figure, (drain, enqueue, memory) = plt.subplots(1, 3, figsize=(12, 3.6), layout="constrained")

    drain.set_title("drained, mails/s")
    for length in lengths:
        drain.plot([length["queued"]] * len(length["rates"]), length["rates"], "o", color=_FAINT)
    drain.plot(queued, [median(length["rates"]) for length in lengths], "-o", color=_INK)

    enqueue.set_title("enqueued by send_many, messages/s")
    places, rates = zip(*growth["enqueued"], strict=True) if growth["enqueued"] else ((), ())
    enqueue.plot([max(place, 1_000) for place in places], rates, ".", color=_INK)

    memory.set_title("Redis memory, bytes a queued mail")
    memory.plot(queued, [length["memory"] for length in lengths], "-o", color=_INK)
    memory.axhline(growth["payload"], color=_FAINT, linestyle="--")
    memory.annotate("payload", (queued[0], growth["payload"]), va="bottom", color=_FAINT)

    for axes in (drain, enqueue, memory):
        axes.set_xscale("log")
        axes.set_ylim(0, axes.get_ylim()[1] * 1.1)
        axes.set_xlabel("mails queued")
        axes.grid(alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
    figure.savefig(path, dpi=110, metadata={"Software": None})
    plt.close(figure)
