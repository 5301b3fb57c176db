"""What the simulated account answers to questions about how it is set up."""
