# SPDX-License-Identifier: Apache-2.0
"""gdb: the pools, workers and jobs of a process or a core file.

    gdb -x filch-gdb.py PROGRAM CORE
    (gdb) filch

It reads the library's own structures, and needs their debug information.
"""
import gdb

SLEEP = ["awake", "asleep", "waiting", "retired"]
STATES = {"FILCHI_JOB_QUEUED": "queued", "FILCHI_JOB_RUNNING": "running", "FILCHI_JOB_FINISHING": "ending",
          "FILCHI_JOB_WAITING": "waits for others"}
MOST = 100  # jobs of one pool that are listed


def plain(value):
    """The number in a field that may be atomic."""
    return int(value.cast(gdb.lookup_type("unsigned long")) if value.type.sizeof == 8 else value)


def text(value):
    try:
        return value.string(errors="replace") if int(value) else "?"
    except gdb.MemoryError:
        return "?"


def function_at(address):
    """The name of the function there."""
    block = gdb.execute("info symbol 0x%x" % address, to_string=True).split(" in section")[0]
    return block.strip() if "No symbol" not in block else "0x%x" % address


def workers_of(pool):
    kind = gdb.lookup_type("struct filchi_worker").pointer()
    first, stride = int(pool["first"]), int(pool["stride"])
    for i in range(int(pool["workers"])):
        yield gdb.Value(first + i * stride).cast(kind).dereference()


def job_states():
    return {int(gdb.parse_and_eval(name)): word for name, word in STATES.items()}


def name_of(pool, job):
    jobs = pool["jobs"]
    names = jobs["names"]
    if not int(names):
        return ""
    name = names[(int(job.address) - int(jobs["slot"])) // job.type.sizeof]
    return text(name["text"].cast(gdb.lookup_type("char").pointer())) if plain(name["id"]) == int(job["id"]) else ""


def describe_job(pool, job):
    name = name_of(pool, job)
    called = function_at(plain(job["fn"])) if plain(job["fn"]) else "?"
    return "job %x %s%s" % (int(job["id"]), '"%s", ' % name if name else "", called)


def stack_of(pool, worker):
    """What lies on the worker's stack, the newest first."""
    kind = gdb.lookup_type("struct filchi_job").pointer()
    deque = worker["deque"]
    for i in reversed(range(plain(deque["depth"]))):
        segment = deque["segment"][i]
        team = plain(segment["team"])
        of = describe_job(pool, gdb.Value(team).cast(kind).dereference()) if team else "no job"
        yield ("a stolen task of " if int(segment["task"]) else "") + of


def show_worker(pool, worker):
    state = plain(worker["sleeper"]["state"]) & 3
    thread = plain(worker["tid"])
    waits = plain(worker["awaits"])
    print("  worker %d, thread %s: %s%s" % (int(worker["id"]), thread if thread else "none", SLEEP[state],
                                            ", for job %x" % waits if waits else ""))
    for line in stack_of(pool, worker):
        print("    " + line)


def show_jobs(pool):
    jobs, states, shown = pool["jobs"], job_states(), 0
    for i in range(min(plain(jobs["begun"]), int(jobs["count"]))):
        job = jobs["slot"][i]
        state = plain(job["state"]) & 7
        if state not in states:
            continue
        shown += 1
        if shown <= MOST:
            print("  %s: %s" % (states[state], describe_job(pool, job)))
    if shown > MOST:
        print("  and %d more" % (shown - MOST))


class Filch(gdb.Command):
    """Lists the pools of filch, their workers and what these are at, and the jobs that have not ended."""

    def __init__(self):
        super().__init__("filch", gdb.COMMAND_STATUS)

    def invoke(self, argument, from_tty):
        try:
            pool = gdb.parse_and_eval("(struct filch_pool *)filchi_pools")
        except gdb.error as error:
            raise gdb.GdbError("no filch with debug information here: %s" % error)
        if not int(pool):
            print("no pools")
        while int(pool):
            p = pool.dereference()
            print('pool %d "%s", %d workers%s' % (int(p["number"]), text(p["name"]), int(p["workers"]),
                                                 ", closing" if plain(p["closing"]) else ""))
            for worker in workers_of(p):
                show_worker(p, worker)
            show_jobs(p)
            pool = p["next_pool"]


Filch()
