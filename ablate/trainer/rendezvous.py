"""How the ranks of a job find each other, and no rank of another job."""

import hashlib
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch._C._distributed_c10d import Store

_FIRST_PORT, _PORTS = 20_000, 12_000
"""Below the ports that Linux gives to outgoing connections: ip_local_port_range starts at 32768."""
_NAME = "name of the job"


@dataclass(frozen=True)
class Rendezvous:
    """What a rank knows before it has met the others. size: how many they are."""

    rank: int
    local_rank: int
    size: int
    host: str | None = None
    """The address of the first rank's node; None if torchrun's variables say where to meet."""
    name: str = ""
    """The same on all ranks of a job, and different from that of every other job and of its earlier runs."""

    @property
    def port(self) -> int:
        """The port of the first rank. It follows from the whole name: two clusters on one node share job numbers."""
        return _FIRST_PORT + int.from_bytes(hashlib.sha256(self.name.encode()).digest()[:4], "big") % _PORTS

    @property
    def variables(self) -> dict[str, str]:
        """What torchrun would set: libraries that trainers use train each rank by itself where they do not find it."""
        ranks = {"RANK": self.rank, "LOCAL_RANK": self.local_rank, "WORLD_SIZE": self.size}
        where = {"MASTER_ADDR": self.host, "MASTER_PORT": self.port}
        return {name: str(value) for name, value in (ranks | where).items()}


def meet(at: Rendezvous, timeout: timedelta) -> "Store":
    """The store of this job's ranks, which the first of them opens.

    Raises RuntimeError if the port is another program's, or the ranks do not meet in time: a rank of another job would
    train along, and be trained along with, without an error.
    """
    from torch._C._distributed_c10d import TCPStore  # a torch without it still trains on one rank

    host = "127.0.0.1" if at.rank == 0 else at.host
    assert host is not None
    store = TCPStore(host, at.port, at.size, at.rank == 0, timeout, wait_for_workers=False)
    if at.rank == 0:
        store.set(_NAME, at.name)
    elif (found := store.get(_NAME).decode()) != at.name:
        raise RuntimeError(f"port {at.port} of {host} is used by another job, {found}; this one is {at.name}")
    return store
