"""The SMTP ingress in tests: in this process, as a process, and its clients."""
