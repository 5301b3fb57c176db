"""The flags that programs give /usr/sbin/sendmail."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from rq_ses.cli.sendmail import flags as module
from rq_ses.cli.sendmail.flags import BadFlags, Flags, read_flags


@pytest.mark.parametrize(
    ("line", "flags"),
    [
        # Debian's cron, cronie, PHP, bsd-mailx, s-nail, mutt, git send-email, Python's example.
        ("-FCronDaemon -i -B8BITMIME -oem root", Flags(["root"], dots=True, name="CronDaemon")),
        (
            "-FCronDaemon -i -odi -oem -oi -t -f root",
            Flags(from_header=True, dots=True, sender="root", name="CronDaemon"),
        ),
        ("-t -i", Flags(from_header=True, dots=True)),
        ("-t -i -fwww@shop.example", Flags(from_header=True, dots=True, sender="www@shop.example")),
        ("-i anna@s.example ben@s.example", Flags(["anna@s.example", "ben@s.example"], dots=True)),
        (
            "-i -m -v -r ops@s.example -- anna@s.example",
            Flags(["anna@s.example"], dots=True, sender="ops@s.example", verbose=True),
        ),
        (
            "-oem -oi -f ops@s.example -B 8BITMIME -N failure,delay -R hdrs -- anna@s.example",
            Flags(["anna@s.example"], dots=True, sender="ops@s.example"),
        ),
        ("-i anna@s.example -f ops@s.example", Flags(["anna@s.example"], dots=True, sender="ops@s.example")),
        ("-t -oi", Flags(from_header=True, dots=True)),
        # Old ways: letters together, values apart, debugging and queueing that mean nothing here.
        ("-ti", Flags(from_header=True, dots=True)),
        ("-itf ops@s.example", Flags(from_header=True, dots=True, sender="ops@s.example")),
        (
            "-bm -o i -O DeliveryMode=b -d0.1 -d -h 3 -p SMTP -V x -X /dev/null -LTag -G -n -U a",
            Flags(["a"], dots=True),
        ),
        ("-t", Flags(from_header=True)),
        ("-- -t", Flags(["-t"])),
        ("-", Flags(["-"])),
    ],
)
def test_what_programs_write_is_understood(line: str, flags: Flags) -> None:
    assert read_flags(line.split()) == flags


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("-bs", "-bs can't be obeyed: it takes no SMTP"),
        ("-bd -q30m", "-bd can't be obeyed: it is no server"),
        ("-bp", "-bp can't be obeyed: `rq-ses status` shows the queue"),
        ("-b v root", "-bv can't be obeyed"),
        ("-q", "-q can't be obeyed: workers send what is queued"),
        ("-q1h", "-q can't be obeyed"),
        ("-C /etc/mail/sendmail.cf -t", "-C can't be obeyed"),
        ("-I", "-I can't be obeyed: there is no file of aliases"),
        ("-t -f", "-f lacks its value"),
        ("-tZ", "'-tZ' is no flag of sendmail's"),
        ("--to anna@s.example", "'--to' is no flag of sendmail's"),
        ("-i", "nobody is to get it"),
        ("", "nobody is to get it"),
    ],
)
def test_what_can_not_be_obeyed_is_refused(line: str, says: str) -> None:
    with pytest.raises(BadFlags) as caught:
        read_flags(line.split())
    assert says in str(caught.value)


def test_the_page_has_a_row_for_each_flag_that_is_taken() -> None:
    page = (Path(__file__).parents[3] / "docs" / "how-to" / "sendmail.md").read_text()
    rows = " ".join(line.split("|")[1] for line in page.splitlines() if line.startswith("| `-"))
    assert set(re.findall(r"`-(\w)", rows)) == module._WITH_VALUE | module._VALUE_ATTACHED | module._ALONE
