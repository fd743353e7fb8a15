"""How torch's threads wait between two parallel loops."""

import os


def wait_asleep() -> None:
    """Has OpenMP's threads sleep until there is work, unless OMP_WAIT_POLICY says otherwise.

    By default they spin for a while, and on a machine of few cores take these from the compiled kernels of `snn`, which
    run in threads of their own between torch's operations: a decision took 1.4 times as long (docs/performance.md).
    Read by OpenMP when torch is imported, so it must be called before.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")
