"""The script that ends executions, in three parts: what is left of a mail, what may have come between, and itself."""
