"""This machine's place in the network of a multi-node job: addresses and the interface towards the rendezvous."""

import socket

from evoltune.errors import RecipeError
from evoltune.recipe import Recipe

PORT = 29500


def network_environment(recipe: Recipe) -> dict[str, str]:
    """For several nodes, the variables that make Gloo and NCCL use the interface towards the rendezvous.

    Without them, they choose the first interface with an address, which is often the wrong one.
    """
    if recipe.compute.nodes == 1 or recipe.compute.launcher != "torchrun":
        return {}
    name = _interface_of(address_towards(*rendezvous(recipe)))
    variables = ("GLOO_SOCKET_IFNAME", "TP_SOCKET_IFNAME", "NCCL_SOCKET_IFNAME")
    return dict.fromkeys(variables, name) if name else {}


def rendezvous(recipe: Recipe) -> tuple[str, int]:
    """Host and port of `compute.rendezvous`."""
    text = recipe.compute.rendezvous
    host, _, port = text.partition(":")
    if not host or (port and not port.isdigit()):
        raise RecipeError(
            f"compute.rendezvous: {text!r} must be HOST or HOST:PORT of the first node (start the same command on each node)"
        )
    return host, int(port or PORT)


def is_local(host: str) -> bool:
    """Whether this machine has that address: only its own can be bound."""
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.bind((socket.gethostbyname(host), 0))
            return True
    except OSError:
        return False


def address_towards(host: str, port: int) -> str:
    """The address under which `host` sees this machine. Connecting a datagram socket sends nothing."""
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.connect((socket.gethostbyname(host), port))
            return str(probe.getsockname()[0])
    except OSError as error:
        raise RecipeError(f"compute.rendezvous: {host!r} cannot be reached from here: {error}") from error


def _interface_of(address: str) -> str:
    import psutil

    for name, found in psutil.net_if_addrs().items():
        if any(entry.address == address for entry in found):
            return str(name)
    return ""
