"""What every test may count on, however the run was started."""

import os
import signal

from hypothesis import settings

# A loaded machine takes its time: no test depends on it.
settings.register_profile("tests", deadline=None)
settings.load_profile("tests")

# A script's background job is started with SIGINT ignored, and every process below it inherits that; the tests send
# Ctrl-C to programs of ours and to themselves.
signal.signal(signal.SIGINT, signal.default_int_handler)

# Before torch is imported. Tests run beside each other: threads that spin while they wait for each other would take
# the cores from them, and did so for two thirds of all processor time. What threads may change, tests set themselves.
os.environ.update({"OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "passive"} | os.environ)
