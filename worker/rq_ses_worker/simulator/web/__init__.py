"""What the simulator shows of its records: a page for people, JSON for tests; and who may see it."""
