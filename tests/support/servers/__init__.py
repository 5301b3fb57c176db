"""Servers on loopback that tests talk to, and the lines to them."""
