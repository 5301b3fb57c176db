"""Which failures show that the mail's job broke off before the attempt."""

from __future__ import annotations

import pytest

from rq_ses.deadletter.reading.unsent import surely_unsent

HEAD = "Traceback (most recent call last):\n"


def traceback(*functions: str, last: str = "ValueError: x") -> str:
    frames = "".join(f'  File "/x/y.py", line 7, in {name}\n    code()\n' for name in functions)
    return f"{HEAD}{frames}{last}\n"


@pytest.mark.parametrize(
    "functions",
    [
        ("perform_job", "prepare_job_execution", "func_name", "_deserialize_data"),
        ("perform_job", "perform", "_execute", "func", "import_attribute"),
        ("perform_job", "perform", "_execute", "send", "_sender", "load_settings"),
    ],
)
def test_what_broke_off_before_the_attempt_is_surely_unsent(functions: tuple[str, ...]) -> None:
    assert surely_unsent(traceback(*functions))
    assert surely_unsent(f"{traceback('loads')}\nThe above exception was …\n\n{traceback(*functions)}")


@pytest.mark.parametrize(
    "error",
    [
        "",
        "Moved to FailedJobRegistry, due to AbandonedJobError, at noon",
        "Work-horse terminated unexpectedly; waitpid returned 9 (signal 9); ",
        "ModuleNotFoundError: No module named 'x'",
        # While it was sending, and after it: RQ imports callbacks, too.
        traceback("perform_job", "perform", "_execute", "send", "_attempt", last="ImportError: x"),
        traceback("perform_job", "perform", "_execute", "send", "save_meta"),
        traceback("perform_job", "_finalize_success", "success_callback", "import_attribute"),
        traceback("send", "_attempt")
        + "\nDuring handling …\n\n"
        + traceback("perform_job", "import_attribute"),
        # Cut off.
        traceback("perform_job", "import_attribute")[20:],
    ],
)
def test_anything_else_may_have_been_sent(error: str) -> None:
    assert not surely_unsent(error)
