"""Mails and what is remembered of them, moved where they belong when the number of partitions is changed."""

from rq_ses.mails.moving.move import MARK, Move, Moved, MoveRefused

__all__ = ["MARK", "Move", "MoveRefused", "Moved"]
