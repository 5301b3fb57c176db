"""Campaigns that have ended: swept with all that is theirs. And what doesn't fit together: found, mended."""
