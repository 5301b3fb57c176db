"""What an Outbox does, in plans (rq_ses.plan): the same for threads and for asyncio."""
