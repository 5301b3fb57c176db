"""HTTP/1.1 over kept-alive connections, with deadlines; no code here knows SES."""
