"""A Ray cluster of several nodes on this machine, for tests; also where processors are scarce."""

from __future__ import annotations

import contextlib
import os
import socket
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[1]
PATIENCE = 120.0  # Seconds; Ray itself waits 30 for a node, which takes 4 on an idle machine.


def node() -> dict[str, int]:
    """Returns options of a node; one that knows its agents' ports waits for fewer of them."""
    names = (
        "metrics_agent_port", "metrics_export_port", "dashboard_agent_listen_port",
        "runtime_env_agent_port",
    )  # fmt: skip
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in names]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        ports = [each.getsockname()[1] for each in sockets]
    return {"num_cpus": 1, **dict(zip(names, ports))}


@contextlib.contextmanager
def start(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Yields a cluster with a head of one processor, and stops it afterwards."""
    pytest.importorskip("ray")
    import ray._private.services
    from ray.cluster_utils import Cluster

    find, wait = ray._private.services.get_node, Cluster._wait_for_node

    def find_patiently(*args: Any, **options: Any) -> Any:
        end = time.monotonic() + PATIENCE
        while True:
            try:
                return find(*args, **options)
            except RuntimeError:
                if time.monotonic() > end:
                    raise
                time.sleep(0.2)

    monkeypatch.setattr(ray._private.services, "get_node", find_patiently)
    monkeypatch.setattr(Cluster, "_wait_for_node", lambda self, node: wait(self, node, PATIENCE))
    monkeypatch.setenv("PYTHONPATH", f"{ROOT}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
    # A node that is dead refuses at once; one that is only slow is to be waited for.
    system = {"health_check_timeout_ms": 60_000}
    head = {"include_dashboard": False, "_system_config": system, **node()}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Ray's own.
        cluster = Cluster(initialize_head=True, head_node_args=head)
        try:
            yield cluster
        finally:
            cluster.shutdown()
