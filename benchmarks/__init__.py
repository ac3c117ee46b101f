"""What the journal costs, beside JeevesAgent 0.9.7's stores and beside the bare drivers: ``nox -s bench``.

All sides run interleaved, in one run on one machine, on real files and on a real Postgres over TCP with fsync on. Only
ratios carry over to another machine.
"""
