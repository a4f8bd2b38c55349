# SPDX-License-Identifier: Apache-2.0
"""Python, which was not linked with filch, loads it, runs jobs in Python on it, and closes it.

50 times; then there are as many threads, descriptors and mappings as after the first ten. At last
a signal of the process reaches Python's handler while a pool lives.

usage: python.py LIBFILCH.SO
"""
import _ctypes
import ctypes
import os
import signal
import sys

TIMES, FIRST = 50, 10
JOB = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p)


class Completion(ctypes.Structure):
    _fields_ = [("id", ctypes.c_int64), ("arg", ctypes.c_void_p), ("user", ctypes.c_void_p),
                ("status", ctypes.c_int32), ("worker", ctypes.c_int32), ("rest", ctypes.c_uint64 * 7)]


def load():
    filch = ctypes.CDLL(sys.argv[1])
    filch.filch_submit.restype = ctypes.c_int64
    filch.filch_submit.argtypes = [ctypes.c_void_p, JOB, ctypes.c_void_p, ctypes.c_void_p]
    filch.filch_wait.argtypes = [ctypes.c_void_p, ctypes.c_int64, ctypes.c_void_p, ctypes.c_void_p]
    filch.filch_pool_destroy.argtypes = [ctypes.c_void_p]
    return filch


def create(filch):
    pool = ctypes.c_void_p()
    assert filch.filch_pool_create(ctypes.byref(pool), None) == 0
    return pool


def use(filch, pool):
    seen = []

    def job(arg):
        seen.append(arg)
        return 7

    function = JOB(job)
    done = Completion()
    ids = [filch.filch_submit(pool, function, i, None) for i in range(1, 21)]
    for i in ids:
        assert i > 0, i
        assert filch.filch_wait(pool, i, None, ctypes.byref(done)) == 0
        assert done.status == 7, done.status
    assert sorted(seen) == list(range(1, 21)), seen


def is_exiting(tid):
    """A joined thread's entry may outlast the join: PF_EXITING in the flags word of proc(5)."""
    try:
        with open(f"/proc/self/task/{tid}/stat") as stat:
            return int(stat.read().rpartition(")")[2].split()[6]) & 4
    except (FileNotFoundError, ProcessLookupError):
        return True


def holds():
    threads = [tid for tid in os.listdir("/proc/self/task") if not is_exiting(tid)]
    with open("/proc/self/maps") as maps:
        mappings = len(maps.readlines())
    return len(threads), len(os.listdir("/proc/self/fd")), mappings


for k in range(TIMES):
    filch = load()
    pool = create(filch)
    use(filch, pool)
    assert filch.filch_pool_destroy(pool) == 0
    _ctypes.dlclose(filch._handle)
    if k == FIRST:
        before = holds()
after = holds()
assert after[:2] == before[:2], (before, after)
assert after[2] < before[2] + (TIMES - FIRST) // 10, (before, after)

filch = load()
pool = create(filch)
got = []
signal.signal(signal.SIGUSR1, lambda number, frame: got.append(number))
for k in range(50):
    os.kill(os.getpid(), signal.SIGUSR1)
    # the interpreter runs its handlers between two lines, on this thread: one may be on its way
    while len(got) <= k:
        use(filch, pool)
assert got == [signal.SIGUSR1] * 50, got
assert filch.filch_pool_destroy(pool) == 0
print(f"python: loaded {TIMES} times, {after[0]} threads, {after[1]} descriptors, {after[2]} mappings")
