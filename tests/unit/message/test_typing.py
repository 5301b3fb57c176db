"""What type checkers are told that a message takes is what it takes."""

from __future__ import annotations

from typing import Any, Required, get_origin, get_type_hints

import pytest
from pydantic import BaseModel

from rq_ses import Message, RawMessage
from rq_ses.message.fields import Fields, RawFields


@pytest.mark.parametrize(("given", "model"), [(Fields, Message), (RawFields, RawMessage)])
def test_the_types_are_those_of_all_fields(given: type[Any], model: type[BaseModel]) -> None:
    types = get_type_hints(given, include_extras=True)
    assert set(types) == set(model.model_fields)
    needed = {name for name, field in model.model_fields.items() if field.is_required()}
    assert {name for name, kind in types.items() if get_origin(kind) is Required} == needed
