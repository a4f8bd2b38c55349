# SPDX-License-Identifier: Apache-2.0
"""filch from Python, by ctypes: jobs, callbacks, and completions for asyncio.

    with filch.Pool() as pool:
        job = pool.submit(hashlib.sha256, data)
        digest = job.result().hexdigest()

A job is a function of Python, or one of C that is given as a ctypes function. One of Python runs
while its worker holds Python's lock. So several are at work at once only where they give that lock
away, as hashlib, zlib, numpy and reading do. One of C never takes it.

A module for a program of your own, to be copied: it has what the example uses, and no more.
"""
import asyncio
import ctypes
import itertools
import os

FILCH_JOB_FN = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p)


class Completion(ctypes.Structure):
    """struct filch_completion"""

    _fields_ = [("id", ctypes.c_int64), ("arg", ctypes.c_void_p), ("user", ctypes.c_void_p),
        ("status", ctypes.c_int32), ("worker", ctypes.c_int32), ("flags", ctypes.c_uint64),
        ("queued_ns", ctypes.c_uint64), ("run_ns", ctypes.c_uint64), ("detail", ctypes.c_uint64 * 2),
        ("reserved", ctypes.c_uint64 * 2)]


CALLBACK = ctypes.CFUNCTYPE(None, ctypes.POINTER(Completion))


class Sized(ctypes.Structure):
    """A struct that begins with its size: a library that knows more fields takes it for an older one."""

    def __init__(self, **fields):
        super().__init__(size=ctypes.sizeof(self), **fields)


class Config(Sized):
    """struct filch_config"""

    _fields_ = [("size", ctypes.c_size_t), ("flags", ctypes.c_uint64), ("workers", ctypes.c_uint32),
        ("workload", ctypes.c_uint32), ("reserve_cores", ctypes.c_uint32), ("queue_capacity", ctypes.c_uint32),
        ("jobs_max", ctypes.c_uint32), ("deque_capacity", ctypes.c_uint32), ("search_ns", ctypes.c_uint32),
        ("reserved", ctypes.c_uint32), ("stack_bytes", ctypes.c_uint64), ("cpuset", ctypes.c_char_p),
        ("name", ctypes.c_char_p), ("on_worker_start", ctypes.c_void_p), ("on_worker_stop", ctypes.c_void_p),
        ("hook_arg", ctypes.c_void_p), ("watchdog_ns", ctypes.c_uint64), ("on_stuck", ctypes.c_void_p),
        ("workers_max", ctypes.c_uint32), ("spares", ctypes.c_uint32)]


class Submit(Sized):
    """struct filch_submit"""

    _fields_ = [("size", ctypes.c_size_t), ("flags", ctypes.c_uint64), ("when_full", ctypes.c_uint32),
        ("lane", ctypes.c_uint32), ("deadline", ctypes.c_void_p), ("start_by", ctypes.c_void_p),
        ("cq", ctypes.c_void_p), ("on_complete", CALLBACK), ("user", ctypes.c_void_p), ("after", ctypes.c_void_p),
        ("after_count", ctypes.c_size_t), ("finish_by", ctypes.c_void_p), ("group", ctypes.c_void_p),
        ("name", ctypes.c_char_p)]


class Timespec(ctypes.Structure):
    _fields_ = [("tv_sec", ctypes.c_long), ("tv_nsec", ctypes.c_long)]


def load(path):
    """The library, with the types of what is called here. Its calls give Python's lock away."""
    library = ctypes.CDLL(path)
    pointer, number = ctypes.c_void_p, ctypes.c_int
    for name, result, arguments in (
        ("filch_pool_create", number, [ctypes.POINTER(pointer), ctypes.POINTER(Config)]),
        ("filch_pool_destroy", number, [pointer]),
        ("filch_pool_drain", number, [pointer, pointer]),
        ("filch_pool_workers", number, [pointer]),
        ("filch_after", Timespec, [ctypes.c_uint64]),
        ("filch_submit", ctypes.c_int64, [pointer, FILCH_JOB_FN, pointer, ctypes.POINTER(Submit)]),
        ("filch_wait", number, [pointer, ctypes.c_int64, ctypes.POINTER(Timespec), ctypes.POINTER(Completion)]),
        ("filch_cancel", number, [pointer, ctypes.c_int64]),
        ("filch_cq_create", number, [ctypes.POINTER(pointer), ctypes.c_uint32]),
        ("filch_cq_destroy", number, [pointer]),
        ("filch_cq_fd", number, [pointer]),
        ("filch_cq_reap", number, [pointer, ctypes.POINTER(Completion), ctypes.c_size_t]),
    ):
        function = getattr(library, name)
        function.restype, function.argtypes = result, arguments
    return library


_library = load(os.environ.get("FILCH_LIBRARY", "libfilch.so.0.1"))
_calls = {}  # number -> _Call: what is under way
_numbers = itertools.count(1)


def check(result):
    """The result of a call, or its error as an exception."""
    if result < 0:
        raise OSError(-result, os.strerror(-result))
    return result


class _Call:
    """What a job calls, and what has come of it."""

    def __init__(self, function, arguments):
        self.function, self.arguments = function, arguments
        self.value = self.error = self.done = None
        self.number = next(_numbers)
        _calls[self.number] = self

    def run(self):
        try:
            self.value = self.function(*self.arguments)
            return 0
        except BaseException as error:  # pylint: disable=broad-except; nothing may leave through C
            self.error = error
            return -1

    def outcome(self, completion):
        """The function's value; raises what it has raised, or what the library says."""
        if self.error is not None:
            raise self.error
        check(completion.status)
        return completion.status if isinstance(self.function, ctypes._CFuncPtr) else self.value


@FILCH_JOB_FN
def _run(number):
    return _calls[number].run()


@CALLBACK
def _complete(completion):
    completion = completion.contents
    call = _calls.pop(completion.user)
    call.done(completion, call)


class Job:
    """A job that was submitted, to be waited for once."""

    def __init__(self, pool, number, call):
        self.pool, self.id, self.call = pool, number, call

    def result(self, timeout=None):
        """Waits; what the function has returned. TimeoutError after so many seconds."""
        completion = Completion()
        deadline = None if timeout is None else ctypes.byref(_library.filch_after(int(timeout * 1e9)))
        check(_library.filch_wait(self.pool.handle, self.id, deadline, ctypes.byref(completion)))
        _calls.pop(self.call.number)
        return self.call.outcome(completion)

    def cancel(self):
        """Whether it was in time."""
        return _library.filch_cancel(self.pool.handle, self.id) == 0


class Pool:
    def __init__(self, workers=0, name="python"):
        self.handle = ctypes.c_void_p()
        config = Config(workers=workers, name=name.encode())
        check(_library.filch_pool_create(ctypes.byref(self.handle), ctypes.byref(config)))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        check(_library.filch_pool_destroy(self.handle))

    def workers(self):
        return check(_library.filch_pool_workers(self.handle))

    def drain(self):
        check(_library.filch_pool_drain(self.handle, None))

    def _submit(self, call, how):
        if isinstance(call.function, ctypes._CFuncPtr):
            function, argument = ctypes.cast(call.function, FILCH_JOB_FN), call.arguments[0]
        else:
            function, argument = _run, call.number
        how.user = call.number
        try:
            return check(_library.filch_submit(self.handle, function, argument, ctypes.byref(how)))
        except OSError:
            _calls.pop(call.number)
            raise

    def submit(self, function, *arguments, lane=0):
        """A job that calls function(*arguments). One of C takes one argument, a pointer or a number."""
        call = _Call(function, arguments)
        return Job(self, self._submit(call, Submit(lane=lane)), call)

    def submit_then(self, callback, function, *arguments, lane=0):
        """The same; at its end, on a worker, callback(completion, value, error)."""

        def done(completion, call):
            try:
                callback(completion, call.outcome(completion), None)
            except BaseException as error:  # pylint: disable=broad-except
                callback(completion, None, error)

        call = _Call(function, arguments)
        call.done = done
        self._submit(call, Submit(lane=lane, on_complete=_complete))


class Queue:
    """Completions for the running event loop of asyncio, which watches the queue's descriptor."""

    def __init__(self, capacity=0):
        self.handle = ctypes.c_void_p()
        check(_library.filch_cq_create(ctypes.byref(self.handle), capacity))
        self.room = (Completion * 64)()
        self.loop = asyncio.get_running_loop()
        self.descriptor = check(_library.filch_cq_fd(self.handle))
        self.loop.add_reader(self.descriptor, self._reap)

    def close(self):
        self.loop.remove_reader(self.descriptor)
        check(_library.filch_cq_destroy(self.handle))

    def _reap(self):
        while count := check(_library.filch_cq_reap(self.handle, self.room, len(self.room))):
            for completion in self.room[:count]:
                call = _calls.pop(completion.user)
                try:
                    value = call.outcome(completion)
                    if not call.done.cancelled():
                        call.done.set_result(value)
                except BaseException as error:  # pylint: disable=broad-except
                    if not call.done.cancelled():
                        call.done.set_exception(error)

    def run(self, pool, function, *arguments, lane=0):
        """A future of function(*arguments), which a worker calls."""
        call = _Call(function, arguments)
        call.done = self.loop.create_future()
        pool._submit(call, Submit(lane=lane, cq=self.handle))
        return call.done
