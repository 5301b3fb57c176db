"""Mails that stand in the wrong place, in none, or would expire: found, explained and put right."""
