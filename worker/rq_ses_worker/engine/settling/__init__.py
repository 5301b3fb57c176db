"""How outcomes are gathered for the settler, what becomes of those it cannot write, and what the log says."""
