"""Builds of the package side by side: what one leaves in Redis, the other has to understand."""
