"""Record what a build leaves in Redis, or let an older build drain what this one has left there.

PYTHONPATH=tests python scripts/record_dump.py --build REV     writes tests/data/redis-REV.json
PYTHONPATH=tests python scripts/record_dump.py --drain REV     exits 1 if a mail isn't sent once
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from support.builds import dump
from support.builds.build import Build
from support.builds.draining import drained, faults, waiting
from support.builds.filling import fill
from support.builds.recording import recorded
from support.servers.valkey import client, url, valkey

ROOT = Path(__file__).parents[1]


def main() -> int:
    """Do what the command line says; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    wanted = parser.add_mutually_exclusive_group(required=True)
    wanted.add_argument("--build", metavar="REV", help="record this revision")
    wanted.add_argument("--drain", metavar="REV", help="fill by the present build, drain by this revision")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        if given.build:
            build = Build.of_revision(given.build, ROOT, directory / "build")
            path = ROOT / "tests" / "data" / f"redis-{given.build}.json"
            path.write_text(dump.stored(_filled(build, directory)))
            return 0
        return _drain(Build.of_revision(given.drain, ROOT, directory / "build"), directory)


def _filled(build: Build, directory: Path) -> dump.Dump:
    with valkey(directory / "filled") as server, client(server) as redis:
        return recorded(redis, fill(build, redis, url(server), directory))


def _drain(build: Build, directory: Path) -> int:
    made = _filled(Build(), directory)
    with valkey(directory / "drained") as server, client(server) as redis:
        accepted = drained(build, redis, url(server), made, directory)
        found = faults(redis, made["jobs"], accepted)
    waited = len(waiting(made["jobs"]))
    for line in found or [
        f"{waited} mails that waited were sent once, {len(made['jobs'])} stand as they should"
    ]:
        sys.stdout.write(f"{line}\n")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
