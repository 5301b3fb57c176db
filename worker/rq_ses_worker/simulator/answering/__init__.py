"""How the simulator answers: checks, faults, and the account it plays."""
