"""Runs chunks of work on several cores, with progress, in the same order and with the same result as on one."""

import multiprocessing
import os
import sys

_worker_shared = None


def num_cores():
    """Returns the number of cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _initialize(shared):
    global _worker_shared
    _worker_shared = shared


def _call(task):
    function, item = task
    return function(_worker_shared, item)


def map_chunks(function, shared, items, jobs=1, progress=None):
    """Returns `[function(shared, item) for item in items]`.

    Args:
        function: a function at the top level of a module, so that workers can find it.
        shared: what every call needs; handed to each worker once.
        items: list of small values.
        jobs: int, number of processes; 1 runs here, None takes all cores.
        progress: None, or a function of `(num_done, num_items)`.

    Returns:
        list, in the order of `items`.
    """
    jobs = min(num_cores() if jobs is None else jobs, len(items))
    results = []

    def collect(iterator):
        for result in iterator:
            results.append(result)
            if progress:
                progress(len(results), len(items))
        return results

    if jobs <= 1:
        return collect(function(shared, item) for item in items)
    # Forked workers inherit `shared` and the built face. TensorFlow's threads do not survive a fork, and a child that
    # needs a lock one of them held would wait for ever: then, and off Linux, workers start afresh.
    fork = sys.platform == "linux" and "tensorflow" not in sys.modules
    context = multiprocessing.get_context("fork" if fork else "spawn")
    with context.Pool(jobs, _initialize, (shared,)) as pool:
        return collect(pool.imap(_call, [(function, item) for item in items]))
