"""One learner over the devices of several processes, on one host or many.

Every process runs the whole loop: a run is a function of its seed, so all of them step equal
environments, hold equal replays and draw equal windows, and each computes the gradient of its share
of every batch. Only the first one's records and checkpoints are kept.
"""

from __future__ import annotations

import contextlib
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import jax
from jax.experimental import multihost_utils

from embodied.core.errors import UserError
from harmony_dreamerv3.config import Config, JaxConfig


def join(config: JaxConfig) -> None:
    """Connects this process with the others, before JAX is used for anything else.

    Args:
      config: `coordinator` is empty (a process by itself), `auto` (a TPU pod, Slurm: JAX finds
        out), or `host:port` of the first process, with `processes` and `process`.

    Raises:
      UserError: when the others cannot be reached.
    """
    if not config.coordinator or jax.distributed.is_initialized():
        return
    host, _, port = config.coordinator.rpartition(":")
    if config.coordinator != "auto" and not (host and port.isdigit()):
        raise UserError(f"jax.coordinator: expected host:port or auto, got {config.coordinator!r}")
    try:
        if config.coordinator == "auto":
            jax.distributed.initialize()
        else:
            jax.distributed.initialize(config.coordinator, config.processes, config.process)
    except (RuntimeError, ValueError) as error:
        raise UserError(
            f"jax.coordinator {config.coordinator!r}: process {config.process} of "
            f"{config.processes} cannot join: {str(error).splitlines()[0]}"
        ) from error


def check(config: Config, seeds: int) -> None:
    """Raises UserError for what several processes cannot do together."""
    if jax.process_count() == 1:
        return
    if seeds > 1:
        raise UserError(
            "several processes train one seed; for more, start a run each (verb sweep), or use "
            "jax.population_devices inside one process"
        )
    if config.jax.data_devices != jax.device_count():
        raise UserError(
            f"several processes share each batch over all their devices: expected "
            f"jax.data_devices {jax.device_count()}, got {config.jax.data_devices}"
        )
    if config.run.eval_async:
        raise UserError(
            "several processes must compute in one order: expected run.eval_async False"
        )


@contextlib.contextmanager
def records(root: Path) -> Iterator[Path]:
    """Gives each process a run folder: the first the real one, the others a copy for the time.

    Raises:
      UserError: when the processes do not see the same checkpoints there.
    """
    if jax.process_count() == 1:
        yield root
        return
    first = jax.process_index() == 0
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as scratch:
        mine = root if first else Path(scratch) / "run"
        if not first and root.exists():
            shutil.copytree(root, mine, ignore=shutil.ignore_patterns(".lock"))
        found = sorted(mine.glob("checkpoints/*/manifest.json"))
        newest = int(found[-1].parent.name[:12]) if found else -1
        steps = multihost_utils.process_allgather(jax.numpy.int32(newest))  # Waits for all copies.
        if len(set(steps.tolist())) > 1:
            raise UserError(
                f"{root} is not the same folder for all processes: their newest checkpoints are "
                f"of the steps {steps.tolist()}; put it on shared storage"
            )
        yield mine
