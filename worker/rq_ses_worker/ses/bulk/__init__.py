"""SendBulkEmail: a request for up to 50 entries, and its answer, which has a status for each."""
