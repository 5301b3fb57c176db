"""Bulk jobs: what a claim looks at before it takes one, and the script that divides one."""
