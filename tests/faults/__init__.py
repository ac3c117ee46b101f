"""Real faults: what was acknowledged is not lost, not changed and not mixed up, and every fault ends within a bound.

A test makes a fault and a ``Ledger`` (``ledger.py``). Each put goes through the ledger: it gives the put a version,
notes that it began, makes the call, and notes the acknowledgement. Each get goes through it too, and is compared with
what was acknowledged before it began. ``under_load`` (``load.py``) lets many tasks do so on any store while the test
strikes, and lets the test wait for acknowledgements and refusals. A process that is to be killed tells its events
through a pipe to a ledger that outlives it (``writers.py``). In the end ``Ledger.verify`` opens a store of its own and
compares all of it. What was found stands in ``Figures``, which are printed.

Only two judge by something else: ``test_syncs.py`` by the system calls of ``acknowledgers.py``, and
``test_crashes_and_a_dict.py`` by a dict beside the killed process of ``served_store.py``.
"""
