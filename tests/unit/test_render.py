from __future__ import annotations

import json
from base64 import b64decode
from typing import Any, cast

import pytest
from botocore.loaders import Loader
from botocore.model import OperationModel, ServiceModel
from botocore.serialize import create_serializer
from botocore.validate import ParamValidator
from hypothesis import given
from rq_ses.message import Message
from rq_ses.render import send_email_body, send_email_request

from unit.test_message import FIELDS, MESSAGES
