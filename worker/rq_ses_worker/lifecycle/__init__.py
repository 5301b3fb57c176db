"""The transitions of a mail: claim, settle, promote, reclaim, renew; each one Lua script (transitions.py)."""
