"""The script that ends executions: what is left of a mail, what may have come between, and itself."""
