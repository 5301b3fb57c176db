"""HTTP/1.1 over kept-alive connections, with deadlines; nothing here knows SES."""
