"""Programs that run in the environments of peers: `run_<peer>.py DATABASE_URL NUMBER CONCURRENT`
prints the seconds from the first job that is handed in to the last one that is done.
"""
