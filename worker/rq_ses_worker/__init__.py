"""The worker's half of rq-ses: what signs, sends, classifies and settles."""

import rq_ses  # noqa: F401 - it refuses another RQ than 3, before anything here imports RQ
