"""aiosmtpd with a handler that does nothing: what an SMTP server in Python costs before it does anything.

python -m benchmarks.peers.empty_smtp PORT
"""

from __future__ import annotations

import asyncio
import logging
import sys
from typing import Any

from aiosmtpd.smtp import SMTP


class Nothing:
    """Takes every mail."""

    async def handle_DATA(self, *_: Any) -> str:  # noqa: N802 - aiosmtpd's name
        return "250 OK"


async def serve(port: int) -> None:
    """Serve until the process is ended."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        lambda: SMTP(Nothing(), hostname="empty", loop=loop), "127.0.0.1", port, backlog=128
    )
    await server.serve_forever()


if __name__ == "__main__":
    # It would log every command otherwise, as the ingress doesn't let it either.
    logging.getLogger("mail.log").setLevel(logging.CRITICAL)
    asyncio.run(serve(int(sys.argv[1])))
