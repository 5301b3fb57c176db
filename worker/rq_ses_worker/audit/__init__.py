"""Mails that stand in the wrong place, or in none: found, explained and put right."""
