"""Where this process stands among the others, and how others are started.

The only module that reads `RANK`, `WORLD_SIZE`, `SLURM_*` and their kin.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import gc
import io
import logging
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import uuid
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn, ParamSpec, TextIO, TypeVar

from scaffold_runtime.errors import MisconfigurationError

P = ParamSpec("P")
R = TypeVar("R")

LOOPBACK = "127.0.0.1"

log = logging.getLogger("scaffold_runtime")
log.setLevel(logging.INFO)


class _CurrentStderr(logging.StreamHandler[TextIO]):
    """Writes to `sys.stderr` as it is at that moment: a progress bar replaces it.

    Silent where the program has set up logging of its own, which then gets the messages.
    """

    def emit(self, record: logging.LogRecord) -> None:
        if not logging.getLogger().handlers:
            self.stream = sys.stderr
            super().emit(record)


log.addHandler(_CurrentStderr())


@dataclass(frozen=True)
class ProcessPlace:
    """The place of this process in the run.

    Attributes:
        rank: index among all processes, from 0.
        local_rank: index among the processes of this machine, from 0.
        world_size: number of processes in all.
        local_world_size: number of processes on this machine.
        launched: a launcher (torchrun, srun) started this process and set its place.
    """

    rank: int = 0
    local_rank: int = 0
    world_size: int = 1
    local_world_size: int = 1
    launched: bool = False

    @property
    def node_rank(self) -> int:
        """Index of this machine, from 0."""
        return self.rank // self.local_world_size


def read_place() -> ProcessPlace:
    """Read this process' place from the environment that torchrun or srun has set."""
    env = os.environ
    if "RANK" in env and "WORLD_SIZE" in env:
        world_size = int(env["WORLD_SIZE"])
        return ProcessPlace(
            rank=int(env["RANK"]),
            local_rank=int(env.get("LOCAL_RANK", 0)),
            world_size=world_size,
            local_world_size=int(env.get("LOCAL_WORLD_SIZE", world_size)),
            launched=True,
        )
    if int(env.get("SLURM_NTASKS", 1)) > 1 and "SLURM_STEP_ID" in env:
        return _place_in_slurm_step()
    return ProcessPlace()


def _place_in_slurm_step() -> ProcessPlace:
    """The place that `srun` gives; the first node of the step holds the rendezvous."""
    env = os.environ
    env.setdefault("MASTER_ADDR", env.get("SLURM_LAUNCH_NODE_IPADDR", LOOPBACK))
    env.setdefault("MASTER_PORT", str(15000 + int(env.get("SLURM_JOB_ID", 0)) % 5000))
    tasks = int(env["SLURM_NTASKS"])
    return ProcessPlace(
        rank=int(env["SLURM_PROCID"]),
        local_rank=int(env["SLURM_LOCALID"]),
        world_size=tasks,
        local_world_size=tasks // int(env.get("SLURM_NNODES", 1)),
        launched=True,
    )


def global_rank() -> int:
    """Index of this process among all, 0 when it runs alone."""
    return read_place().rank


def _stop_marker() -> Path | None:
    """A file for this machine that tells this launcher's workers from any other's."""
    run_id = os.environ.get("TORCHELASTIC_RUN_ID")
    if run_id is None:
        return None
    name = f"scaffold-stopped-{run_id}-{os.getppid()}".replace(os.sep, "_")
    return Path(tempfile.gettempdir(), name)


def note_stop() -> None:
    """Leave word that the run was stopped, for workers that its launcher may restart."""
    if marker := _stop_marker():
        marker.touch()


def leave_if_stopped() -> None:
    """End a worker that was started again after the run was asked to stop."""
    if (marker := _stop_marker()) and marker.exists():
        rank_zero_info("The run was stopped: this worker ends instead of training.")
        sys.exit(143)


def hasten_exit() -> None:
    """Let this process end without Python's last garbage collections: a second of work.

    On a busy machine, that is most of the time between a request to stop and the end. What
    those collections would flush is flushed before.
    """

    def skip_collections() -> None:
        for thing in gc.get_objects():
            if type(thing) in (io.BufferedWriter, io.TextIOWrapper):
                with contextlib.suppress(OSError, ValueError):
                    thing.flush()
        gc.freeze()

    atexit.register(skip_collections)


def requeue_job() -> None:
    """Ask SLURM to run this job again: SIGUSR1 announces the end of its time."""
    job = os.environ.get("SLURM_JOB_ID")
    if job is not None and shutil.which("scontrol"):
        subprocess.run(["scontrol", "requeue", job], check=False)


def start_workers(processes: int) -> NoReturn:
    """Run this very command once more in `processes` workers, and exit with their code.

    torchrun's own elastic agent starts and watches the workers; this process only
    supervises. A worker that fails ends the others.

    Raises:
        MisconfigurationError: there is no command to run again (a notebook, a shell).
    """
    from torch.distributed.elastic.multiprocessing.api import SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    command = sys.orig_argv[1:]
    if not command or hasattr(sys, "ps1"):
        raise MisconfigurationError(
            f"{processes} processes need a script that can be started again, and this is an"
            " interactive session: put the code in a file, or use devices=1."
        )
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    if sys.platform == "linux":
        os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
    config = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=processes,
        run_id=uuid.uuid4().hex,
        rdzv_backend=_register_loopback(),
        rdzv_endpoint=LOOPBACK,
        local_addr=LOOPBACK,
        max_restarts=0,
        monitor_interval=0.1,
        signals_to_handle="SIGTERM,SIGINT,SIGHUP,SIGQUIT,SIGUSR1",
    )
    logging.getLogger("torch.distributed.elastic").setLevel(logging.CRITICAL)
    sys.stdout.flush()
    hasten_exit()
    try:
        elastic_launch(config, sys.executable)(*command)
    except ChildFailedError as failure:
        codes = {rank: child.exitcode for rank, child in failure.failures.items()}
        for rank, code in codes.items():
            if code < 0:
                log.error(f"Rank {rank} was ended by {signal.Signals(-code).name}.")
        sys.exit(_exit_code(list(codes.values())))
    except SignalException as stop:
        sys.exit(130 if stop.sigval == signal.SIGINT else 143)
    sys.exit(0)


def _register_loopback() -> str:
    """The name of a rendezvous that nobody outside this machine can reach.

    torch's own listen on every address, whatever the endpoint says.
    """
    from torch.distributed import TCPStore  # type: ignore[attr-defined]
    from torch.distributed.elastic import rendezvous
    from torch.distributed.elastic.rendezvous import static_tcp_rendezvous

    class Loopback(static_tcp_rendezvous.StaticTCPRendezvous):
        def get_backend(self) -> str:
            return "loopback"

    def create(parameters: rendezvous.RendezvousParameters) -> Loopback:
        listener = socket.create_server((LOOPBACK, 0))
        port = listener.getsockname()[1]
        handler = Loopback(LOOPBACK, port, 0, 1, parameters.run_id, 900)
        handler._store = TCPStore(
            LOOPBACK,
            port,
            is_master=True,
            multi_tenant=True,
            wait_for_workers=False,
            master_listen_fd=listener.detach(),
        )
        return handler

    rendezvous.rendezvous_handler_registry.register("loopback", create)
    return "loopback"


def _exit_code(codes: list[int]) -> int:
    """One code for several workers: the first that failed by itself, else its signal's.

    SIGTERM is what the agent ends the others with, so it comes last.
    """
    by_itself = [code for code in codes if code > 0]
    signals = sorted((-code for code in codes if code < 0), key=signal.SIGTERM.__eq__)
    return by_itself[0] if by_itself else 128 + signals[0]


def rank_zero_only(
    function: Callable[P, R], default: R | None = None
) -> Callable[P, R | None]:
    """Let a function run on rank 0, which is `rank_zero_only.rank`; else give `default`."""

    @functools.wraps(function)
    def on_rank_zero(*args: P.args, **kwargs: P.kwargs) -> R | None:
        is_zero = rank_zero_only.rank == 0  # type: ignore[attr-defined]
        return function(*args, **kwargs) if is_zero else default

    return on_rank_zero


rank_zero_only.rank = global_rank()  # type: ignore[attr-defined]
# What is said once, through the logger `scaffold_runtime`.
rank_zero_debug = rank_zero_only(log.debug)
rank_zero_info = rank_zero_only(log.info)


@rank_zero_only
def rank_zero_warn(
    message: str, stacklevel: int = 0, category: type[Warning] = UserWarning
) -> None:
    """Warn once, on rank 0, by default at the line outside this package that led here."""
    warnings.warn(message, category, stacklevel=stacklevel or _level_of_caller())


def _level_of_caller() -> int:
    """Stack level of the first frame outside this package, as `warnings.warn` counts."""
    frame, level = sys._getframe(1), 1
    inside = ("scaffold_runtime", "contextlib")
    while frame and frame.f_globals.get("__name__", "").startswith(inside):
        frame, level = frame.f_back, level + 1  # type: ignore[assignment]
    return level
