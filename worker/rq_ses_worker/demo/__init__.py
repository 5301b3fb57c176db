"""`rq-ses demo`: the main job end to end, with a Redis, an SES and a worker of its own."""

from rq_ses_worker.demo.command import demo

__all__ = ["demo"]
