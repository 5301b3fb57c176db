"""Settings: how each is declared, where their values come from, and those of producers."""
