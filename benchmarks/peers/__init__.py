"""The stacks rq-ses is compared with: each sends the same mails to the same stand-in, as its docs advise.

Their processes are told by BENCH_REDIS_URL, BENCH_SES_URL, BENCH_THREADS and BENCH_CA where to find what.
"""
