"""An SES v2 on loopback that checks signatures, throttles, rejects and misbehaves on request."""
