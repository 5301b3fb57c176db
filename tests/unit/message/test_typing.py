"""A user's program passes `mypy --strict` without pydantic's plugin, and its mistakes don't."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any, Required, get_origin, get_type_hints

import pytest
from pydantic import BaseModel

from rq_ses import Message, RawMessage
from rq_ses.message.fields import Fields, RawFields
from support.programs.processes import PATIENCE, environment

ROOT = Path(__file__).parents[3]
PROGRAM = """\
from email.message import EmailMessage
from pathlib import Path
from typing import Any

from rq_ses import Attachment, Message, Outbox, RawMessage, Submission

def names() -> list[str]:
    return ["ben@example.org"]

def built(fields: dict[str, Any]) -> Message:
    return Message(**fields)

file = Attachment(filename="note.txt", content=Path("note.txt").read_bytes())
message = Message(
    sender="a@example.com", to="anna@example.org", cc=names(), bcc=("c@example.org",),
    reply_to="d@example.com", subject="Hello", text="Hi", html=None, headers={"X-Shop": "1"},
    tags={"kind": "order"}, configuration_set="prod", attachments=[file],
)
recipients: tuple[str, ...] = message.to
raw = RawMessage(data=b"", to="b@example.org", list_management={"contact_list": "a"}, tenant="t")
either = Message.from_email(EmailMessage(), recipients=["b@example.org"], configuration_overrides={})
Outbox.from_env().send_many([Submission(message, key="k"), raw, either])
RawMessage(data="text", to="b@example.org")
Message(sender="a@example.com", to=7, subject="Hello", text="Hi")
Message(sender="a@example.com", to="b@example.org", text="Hi")
Message(sender="a@example.com", to="b@example.org", subject="Hello", txt="Hi")
"""


def test_a_program_is_checked_by_what_a_message_takes(tmp_path: Path) -> None:
    (tmp_path / "program.py").write_text(PROGRAM)
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--config-file=", "program.py"],
        env=environment(MYPYPATH=str(ROOT / "producer")),
        cwd=tmp_path, capture_output=True, text=True, timeout=4 * PATIENCE, check=False,
    )  # fmt: skip
    found = re.findall(r"^program\.py:(\d+): error: .*\[([a-z-]+)\]$", done.stdout, re.MULTILINE)
    assert found == [("23", "arg-type"), ("24", "arg-type"), ("25", "call-arg"), ("26", "call-arg")], (
        done.stdout
    )


@pytest.mark.parametrize(("given", "model"), [(Fields, Message), (RawFields, RawMessage)])
def test_the_types_are_those_of_all_fields(given: type[Any], model: type[BaseModel]) -> None:
    types = get_type_hints(given, include_extras=True)
    assert set(types) == set(model.model_fields)
    needed = {name for name, field in model.model_fields.items() if field.is_required()}
    assert {name for name, kind in types.items() if get_origin(kind) is Required} == needed
