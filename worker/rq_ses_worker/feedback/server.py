"""The HTTP server that SNS posts to: waitress, which reads requests before a thread is given to one."""

from __future__ import annotations

import logging
from typing import Any, Final

from waitress import create_server
from waitress.channel import HTTPChannel
from waitress.server import BaseWSGIServer

from rq_ses.errors import SettingsError
from rq_ses.feedback.app import Feedback, wsgi_app
from rq_ses.feedback.envelope import BODY_LIMIT
from rq_ses_worker.monitoring.listening import Listening

IDLE_SECONDS: Final = 20
"""Seconds after which a connection is closed on which nothing happens, or no request comes to its end."""

CONNECTIONS: Final = 100

_HEAD_LIMIT: Final = 32_768


class Channel(HTTPChannel):  # type: ignore[misc] # waitress comes without types
    """A connection on which a piece of a request is no sign of life, but only the first and the last of one.

    Else strangers could keep all connections with a byte now and then, and SNS would find none.
    """

    last_activity: float

    def handle_read(self) -> None:
        """Read what there is."""
        since, begun = self.last_activity, self.request is not None
        super().handle_read()
        if begun or (self.request is None and not self.requests):
            self.last_activity = since

    def received(self, data: bytes) -> bool:
        """Take what was read; blank lines in front of a request are nothing."""
        if self.request is None and not data.strip(b"\r\n"):
            return True
        return bool(super().received(data))


class FeedbackServer:
    """Serves the app of an object. Raises SettingsError if it can't listen there.

    Args:
        listening: where.
        feedback: takes the messages.
        threads: requests that are handled at a time.
    """

    def __init__(self, listening: Listening, feedback: Feedback, threads: int) -> None:
        # Its warnings that requests wait for threads say nothing to anybody.
        logging.getLogger("waitress.queue").setLevel(logging.ERROR)
        sockets: dict[int, Any] = {}
        try:
            self._server: Any = create_server(
                wsgi_app(feedback),
                map=sockets,
                host=listening.host,
                port=listening.port,
                threads=threads,
                ident=None,
                max_request_body_size=BODY_LIMIT,
                max_request_header_size=_HEAD_LIMIT,
                # In memory: what is longer isn't read to its end.
                inbuf_overflow=2 * BODY_LIMIT,
                channel_timeout=IDLE_SECONDS,
                cleanup_interval=5,
                connection_limit=CONNECTIONS,
                clear_untrusted_proxy_headers=True,
            )
        except OSError as exc:
            reason = exc.strerror or str(exc)
            raise SettingsError(
                [f"RQ_SES_FEEDBACK_BIND: can't listen on {listening}: {reason}; choose another"]
            ) from exc
        for one in sockets.values():
            if isinstance(one, BaseWSGIServer):
                one.channel_class = Channel
        self._host = listening.host

    @property
    def address(self) -> str:
        """Where it listens, with the port it was given."""
        bound = getattr(self._server, "effective_listen", None) or [(self._host, self._server.effective_port)]
        return str(Listening(self._host, int(bound[0][1])))

    def serve(self) -> None:
        """Serve until a signal's handler raises SystemExit in this thread; what is handled then ends."""
        try:
            self._server.run()
        finally:
            self._server.close()
