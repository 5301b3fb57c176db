"""credential_process, beside botocore in the same environment."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Any

import pytest

from rq_ses_worker.ses.credentials import Credentials
from support.ses.identities import EXPIRATION, KEYS, SECRET, TOKEN, ours, theirs, unavailable


def command(tmp_path: Path, code: str, *arguments: str) -> str:
    script = tmp_path / "print credentials.py"
    script.write_text(code)
    return shlex.join([sys.executable, str(script), *arguments])


PRINTS = f"""
import json, sys
print(json.dumps({{"Version": 1, "AccessKeyId": sys.argv[1], "SecretAccessKey": {SECRET!r},
                  "SessionToken": {TOKEN!r}, "Expiration": {EXPIRATION!r}}}))
"""


def test_a_process_prints_credentials_after_the_shared_file_and_before_the_config_file(
    config: Any, shared: Any, tmp_path: Path
) -> None:
    line = f"credential_process = {command(tmp_path, PRINTS, 'ASIA $HOME; #quoted')}\n"
    config("[default]\n" + line + KEYS.format("AKIACONFIG"))
    found = theirs_and_ours_refuse_blanks()
    assert "access_key_id holds white space" in found
    config("[default]\n" + line.replace(" $HOME; #quoted", "$HOME;#quoted") + KEYS.format("AKIACONFIG"))
    assert ours() == theirs() == Credentials("ASIA$HOME;#quoted", SECRET, TOKEN)
    shared("[default]\n" + KEYS.format("AKIASHARED"))
    assert ours() == theirs() == Credentials("AKIASHARED", SECRET)


def theirs_and_ours_refuse_blanks() -> str:
    with pytest.raises(ValueError, match="white space"):
        theirs()
    return str(unavailable())


@pytest.mark.parametrize(
    ("code", "said", "lasting"),
    [
        (
            "import sys; sys.stderr.write('log in <first>\\n'); sys.exit(3)",
            "exit code 3: log in ‹first›",
            False,
        ),
        (f"import sys; sys.exit('AWS_SECRET_ACCESS_KEY={SECRET} is no key')", "KEY=*** is no key", False),
        (f"import sys; sys.exit('got {SECRET} from the vault')", "got *** from the vault", False),
        ("import sys; sys.exit('no login with --password: hunter2')", "--password: ***", False),
        (f"print({SECRET!r})", "printed no JSON", False),
        ("print('[' * 60000)", "printed no JSON", False),
        (f"print('x{SECRET}' * 9000)", "printed more than", True),
        (
            f'print(\'{{"Version": 2, "AccessKeyId": "A", "SecretAccessKey": "{SECRET}"}}\')',
            "Version 1",
            True,
        ),
        (f'print(\'{{"Version": 1, "SecretAccessKey": "{SECRET}"}}\')', "no AccessKeyId", False),
        (
            f'print(\'{{"Version": 1, "AccessKeyId": 7, "SecretAccessKey": "{SECRET}"}}\')',
            "access_key_id",
            False,
        ),
        (
            'print(\'{"Version": 1, "AccessKeyId": "A", "SecretAccessKey": "x", "Expiration": "soon"}\')',
            "no date and time",
            False,
        ),
    ],
)
def test_a_process_that_goes_wrong_is_told_and_its_output_is_not(
    config: Any, tmp_path: Path, code: str, said: str, lasting: bool
) -> None:
    config(f"[default]\ncredential_process = {command(tmp_path, code)}\n" + KEYS.format("AKIACONFIG"))
    refused = unavailable()
    assert said in str(refused)
    assert refused.lasting is lasting
    assert "credential_process of profile default" in str(refused)
    assert SECRET not in str(refused)
    assert "hunter2" not in str(refused)


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("/nowhere/at-all --x", "'/nowhere/at-all' can't be run: No such file"),
        ("'unclosed", "can't be split into words"),
        ("", "credential_process is empty"),
        ("true && echo hacked; false", "no JSON"),
    ],
)
def test_a_command_that_cannot_run_is_told_and_no_shell_is_tried(config: Any, line: str, said: str) -> None:
    config(f"[default]\ncredential_process = {line}\n")
    assert said in str(unavailable())


def test_a_process_that_hangs_is_ended_with_its_children(
    config: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "rq_ses_worker.identity.process.CredentialProcess.__init__.__kwdefaults__", {"timeout": 0.5}
    )
    code = "import subprocess, sys\nsubprocess.run([sys.executable, '-c', 'import time; time.sleep(60)'])"
    config(f"[default]\ncredential_process = {command(tmp_path, code)}\n")
    assert "took longer than 0.5 s" in str(unavailable())
