"""Loss balancing as a library: many losses in, one total out, by any of seven methods.

Knows nothing of world models and imports only JAX, so that any JAX model can use it; see
docs/balance.md for an example.
"""

from harmony_dreamerv3.balance.balancer import Balancer, Terms, assemble, weighted
from harmony_dreamerv3.balance.methods import METHODS, find, make
from harmony_dreamerv3.balance.tasks import BalanceError, Task, check_tasks

__all__ = [
    "METHODS", "BalanceError", "Balancer", "Task", "Terms", "assemble", "check_tasks", "find",
    "make", "weighted",
]  # fmt: skip
