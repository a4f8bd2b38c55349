# SPDX-License-Identifier: Apache-2.0
"""Jobs, callbacks and asyncio by filch.py. Its status is 0 if all came out as it should."""
import asyncio
import ctypes
import hashlib
import threading

import filch

BLOCKS = [bytes([i]) * (1 << 20) for i in range(32)]


def digest(block):
    """hashlib gives Python's lock away, so that several workers are at it."""
    return hashlib.sha256(block).hexdigest()


def fails(text):
    raise ValueError(text)


def jobs(pool):
    submitted = [pool.submit(digest, block) for block in BLOCKS]
    assert [job.result() for job in submitted] == [digest(block) for block in BLOCKS]
    try:
        pool.submit(fails, "as it should").result(timeout=60)
    except ValueError as error:
        assert str(error) == "as it should"
    else:
        raise AssertionError("an exception is lost")
    # a function of C: no Python on the worker
    absolute = ctypes.CDLL(None).abs
    assert pool.submit(absolute, 42).result() == 42


def callbacks(pool):
    seen, all_seen = {}, threading.Event()

    def complete(completion, value, error):
        assert error is None and completion.worker >= 0
        seen[completion.id] = value
        if len(seen) == 1000:
            all_seen.set()

    for number in range(1000):
        pool.submit_then(complete, lambda n=number: n * n)
    assert all_seen.wait(100)
    assert sorted(seen.values()) == [n * n for n in range(1000)]


async def events(pool):
    queue = filch.Queue()
    ticks = 0

    async def tick():
        nonlocal ticks
        while True:
            ticks += 1
            await asyncio.sleep(0)

    ticking = asyncio.ensure_future(tick())
    found = await asyncio.gather(*(queue.run(pool, digest, block) for block in BLOCKS))
    assert found == [digest(block) for block in BLOCKS]
    assert ticks > 1  # the loop went on meanwhile
    found = await asyncio.gather(queue.run(pool, fails, "here too"), return_exceptions=True)
    assert isinstance(found[0], ValueError)
    ticking.cancel()
    pool.drain()
    queue.close()


def main():
    with filch.Pool() as pool:
        jobs(pool)
        callbacks(pool)
        asyncio.run(events(pool))
        print(f"filch works from Python, on {pool.workers()} workers")
    assert not filch._calls


main()
