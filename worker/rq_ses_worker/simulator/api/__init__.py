"""SES's API as the simulator plays it: signatures, requests, faults, the account's limits, the answers."""
