"""Spawn the worker ranks of a distributed run, and terminate them when rank 0 exits."""

import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from multiprocessing import connection, parent_process
from multiprocessing.process import BaseProcess

from softlookup.errors import UserError
from softlookup.system.entry_point import keep_talking
from softlookup.system.ranks import ALONE, Processes

Follow = Callable[[Processes], None]
_PER_CORE = 4  # most ranks per core; more would only wait for each other
_GRACE = 10.0  # seconds that the worker ranks get to exit after rank 0 has finished


@contextmanager
def joined(count: int, follow: Follow) -> Iterator[Processes]:
    """Make this process rank 0 of `count`, and start the other ranks, which run `follow` and exit with the block.

    The ranks find each other through the environment variables that Lightning reads (MASTER_ADDR, MASTER_PORT,
    LOCAL_RANK), as under torchrun. Raises UserError, before any rank is started, for more than 4 ranks per core.
    """
    most = _PER_CORE * (os.cpu_count() or 1)
    if count > most:
        raise UserError(f"processes={count}: at most {most} share a run on this machine, {_PER_CORE} for each core")
    if count == 1:
        yield ALONE
        return
    import torch.multiprocessing

    place = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(_free_port()), "NODE_RANK": "0"}
    context = torch.multiprocessing.get_context("spawn")
    before = dict(os.environ)
    ended = threading.Event()
    others = [context.Process(target=_run, args=(Processes(rank, count), place, follow)) for rank in range(1, count)]
    os.environ.update(place, LOCAL_RANK="0")
    try:
        for process in others:
            process.start()
        threading.Thread(target=_end_with_any, args=(others, ended), daemon=True).start()
        yield Processes(0, count)
        for process in others:
            process.join(_GRACE)
    finally:
        ended.set()
        for process in others:
            if process.is_alive():
                process.kill()
        os.environ.clear()
        os.environ.update(before)
        if torch.distributed.is_initialized():
            torch.distributed.destroy_process_group()


def _run(processes: Processes, place: dict[str, str], follow: Follow) -> None:
    keep_talking()
    threading.Thread(target=_end_with_leader, daemon=True).start()
    os.environ.update(place, LOCAL_RANK=str(processes.rank))
    follow(processes)


def _end_with_any(others: Sequence[BaseProcess], ended: threading.Event) -> None:
    """Exit the run if a worker rank fails: the others would wait for it forever, without handling signals."""
    left = list(others)
    while left and not ended.is_set():
        for sentinel in connection.wait([process.sentinel for process in left], timeout=0.5):
            process = next(process for process in left if process.sentinel == sentinel)
            left.remove(process)
            process.join()
            if process.exitcode and not ended.wait(_GRACE):
                number = others.index(process) + 1
                print(f"process {number} of this run ended with {process.exitcode}; the run ends with it", flush=True)
                os._exit(1)


def _end_with_leader() -> None:
    leader = parent_process()
    assert leader is not None
    connection.wait([leader.sentinel])
    os.kill(os.getpid(), signal.SIGKILL)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])
