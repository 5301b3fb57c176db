from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from rq_ses_worker.audit.idset import IdSet
from rq_ses_worker.audit.placement import Execution, Placement, judge, read_placement

NOW = datetime(2026, 5, 31, 12, tzinfo=UTC)
OURS = Execution("0123456789abcdef" + "00000000" + "1", running=True, worker="w", worker_alive=False)
STOCK = Execution("f" * 32, running=False, worker="stock", worker_alive=False)


def stands(status: str, *registries: str, queue: int = 0, **fields: object) -> Placement:
    plain = Placement(
        exists=True, status=status, has_data=True, tried=False, worker="", worker_alive=False,
        enqueued_at="2026-05-31T11:00:00.000000Z", meta="", queue=queue, intermediate=0, ending=False,
        started=(), leases=(), registries=registries, living=0, busy="",
    )  # fmt: skip
    return replace(plain, **fields)  # type: ignore[arg-type]


IN_ORDER = {
    "queued": stands("queued", queue=1),
    "scheduled": stands("scheduled", "scheduled"),
    "finished": stands("finished", "finished"),
    "failed": stands("failed", "failed"),
    "stopped": stands("stopped", "failed"),
    "failed, and its time is over": stands("failed", ending=True),
    "canceled": stands("canceled", "canceled"),
    "deferred": stands("deferred", "deferred"),
    "made by RQ and not enqueued": stands("created"),
    "being sent": stands("started", started=(OURS,), leases=(OURS,)),
    "lease run out: reclaim's": stands("started", started=(OURS,), leases=(replace(OURS, running=False),)),
    "canceled while it is sent": stands("canceled", "canceled", started=(OURS,), leases=(OURS,)),
    "deleted while it is sent": stands("", exists=False, started=(OURS,), leases=(OURS,)),
    "a stock worker's": stands("started", started=(replace(STOCK, running=True),)),
    "late, but its stock worker lives": stands("started", started=(replace(STOCK, worker_alive=True),)),
    "taken by a living stock worker": stands("queued", busy="stock"),
    "retried by a stock worker just now": stands("scheduled", started=(replace(STOCK, running=True),)),
    "in the intermediate list just now": stands(
        "queued", intermediate=1, living=1, enqueued_at=(NOW - timedelta(seconds=59)).isoformat()
    ),
    "gone": stands("", exists=False),
}


@pytest.mark.parametrize("placement", IN_ORDER.values(), ids=IN_ORDER.keys())
def test_what_stands_where_it_belongs_or_is_in_motion_is_left_alone(placement: Placement) -> None:
    assert judge(placement, NOW) is None


WRONG = {
    "queued nowhere": (stands("queued"), "queue", "queued"),
    "left in the intermediate list": (stands("queued", intermediate=1), "queue", "queued"),
    "left there by a dead stock worker": (stands("queued", intermediate=1, living=2), "queue", "queued"),
    "scheduled nowhere after an attempt": (stands("scheduled", tried=True), "queue", "queued"),
    "scheduled nowhere, with a stock worker's remains": (
        stands("scheduled", tried=True, started=(STOCK,)),
        "queue",
        "queued",
    ),
    "scheduled nowhere, its time lost": (stands("scheduled"), "failed", "failed"),
    "scheduled, but in the list": (stands("scheduled", queue=1), "queue", "queued"),
    "queued, but scheduled": (stands("queued", "scheduled"), "scheduled", "scheduled"),
    "queued, but finished": (stands("queued", "finished"), "finished", "finished"),
    "scheduled, but canceled": (stands("scheduled", "canceled"), "canceled", "canceled"),
    "started, but failed": (stands("started", "failed"), "failed", "failed"),
    "started, but scheduled": (stands("started", "scheduled"), "scheduled", "scheduled"),
    "finished nowhere": (stands("finished"), "finished", "finished"),
    "failed nowhere": (stands("failed"), "failed", "failed"),
    "canceled, but in the list": (stands("canceled", "canceled", queue=1), "canceled", "canceled"),
    "finished, but in the list": (stands("finished", queue=1), "finished", "finished"),
    "in the list and scheduled": (stands("queued", "scheduled", queue=1), "queue", "queued"),
    "twice in the list": (stands("queued", queue=2), "queue", "queued"),
    "queued, with an old lease": (
        stands("queued", queue=1, started=(OURS,), leases=(replace(OURS, running=False),)),
        "queue",
        "queued",
    ),
    "no payload": (stands("queued", queue=1, has_data=False), "failed", "failed"),
    "no status": (stands("", queue=1), "failed", "failed"),
    "hash gone, id in the list": (stands("", exists=False, queue=1), "", ""),
    "hash gone, id failed": (stands("", "failed", exists=False), "", ""),
    "hash gone, lease run out": (stands("", exists=False, leases=(replace(OURS, running=False),)), "", ""),
}


@pytest.mark.parametrize(("placement", "place", "status"), WRONG.values(), ids=WRONG.keys())
def test_what_stands_wrong_is_put_where_it_belongs(placement: Placement, place: str, status: str) -> None:
    verdict = judge(placement, NOW)
    assert verdict is not None
    assert verdict.found
    assert verdict.repair is not None
    assert (verdict.repair.place, verdict.repair.status) == (place, status)
    assert not verdict.repair.unknown
    assert bool(verdict.repair.line) == (status == "failed" and "failed" not in placement.registries
                                         and placement.status != "failed")  # fmt: skip


UNKNOWN = {
    "started nowhere": stands("started", worker="dead"),
    "started, no lease, its worker dead": stands("started", started=(OURS,)),
    "a dead stock worker's": stands("started", started=(STOCK,)),
    "started, but in the list": stands("started", queue=1),
}


@pytest.mark.parametrize("placement", UNKNOWN.values(), ids=UNKNOWN.keys())
def test_what_was_being_sent_when_it_was_lost_is_in_doubt(placement: Placement) -> None:
    verdict = judge(placement, NOW)
    assert verdict is not None
    assert verdict.repair is not None
    assert verdict.repair.unknown


@pytest.mark.parametrize(
    "placement",
    [
        stands("started", worker="w", worker_alive=True),
        stands("started", started=(replace(OURS, worker_alive=True),)),
        stands("started", worker="w", worker_alive=True, started=(replace(OURS, worker=""),)),
    ],
)
def test_what_a_living_worker_may_hold_is_reported_and_not_repaired(placement: Placement) -> None:
    verdict = judge(placement, NOW)
    assert verdict is not None
    assert verdict.repair is None
    assert "lives" in verdict.found


def test_what_lua_has_seen_is_read_whatever_bytes_are_in_it() -> None:
    seen = (
        b'[true,"queued",true,false,"w\xff",false,"","{\\u0000",1,0,true,{},'
        b'[["aa",true,"w",false]],["failed"],2,""]'
    )
    placement = read_placement(seen)
    assert (placement.worker, placement.queue, placement.registries) == ("w\udcff", 1, ("failed",))
    assert placement.ending
    assert placement.started == ()
    assert placement.leases == (Execution("aa", running=True, worker="w", worker_alive=False),)


def test_a_set_of_ids_finds_what_was_added_and_nothing_else() -> None:
    ids = IdSet()
    for number in range(5000):
        ids.add(b"%d" % number)
    assert all(b"%d" % number in ids for number in range(5000))
    assert not any(b"%d" % number in ids for number in range(5000, 10_000))
    ids.add(b"late")
    assert b"late" in ids
    assert len(ids) == 5001
