"""The same command on several nodes: which of them owns the run, and what the others wait for. Imports no torch.

    is_first_node(recipe)              # the one with the address of compute.rendezvous, or NODE_RANK=0
    wait_for_first_node(recipe)        # until it begins to train

The first node runs every stage and writes the run's folder. The others only train: each waits until the first one opens the
rendezvous, and gets the rows from it where they do not share a folder. Only `compute.launcher: torchrun` works like this.
"""

import errno
import os
import socket
import sys
import time

from evoltune.errors import RecipeError
from evoltune.recipe import Recipe

NODE_RANK = "NODE_RANK"
"""The variable that says which node this is where addresses cannot: several nodes on one machine, or an address behind NAT."""
SAY_EVERY_S = 60.0
_CONNECT_S = 5.0
PORT = 29500


def meets_others(recipe: Recipe) -> bool:
    """Whether the recipe's command is started on several nodes."""
    return recipe.compute.nodes > 1 and recipe.compute.launcher == "torchrun"


def is_first_node(recipe: Recipe) -> bool:
    """Whether this node owns the run: always, where there are no others. Raises RecipeError for a bad NODE_RANK."""
    if not meets_others(recipe):
        return True
    given, nodes = os.environ.get(NODE_RANK, ""), recipe.compute.nodes
    if not given:
        return is_local(rendezvous(recipe)[0])
    if not given.isdigit() or int(given) >= nodes:
        raise RecipeError(f"{NODE_RANK}: {given!r} must be a number from 0 to {nodes - 1} (compute.nodes is {nodes})")
    return int(given) == 0


def node_name(recipe: Recipe) -> str:
    """The name of this node's own folder."""
    if given := os.environ.get(NODE_RANK):
        return f"node-{given}"
    return f"{socket.gethostname()}-{address_towards(*rendezvous(recipe))}"


def check_nodes(recipe: Recipe) -> None:
    """Raises RecipeError for what would keep the nodes from meeting, as far as one of them can know."""
    if not meets_others(recipe):
        return
    host, port = rendezvous(recipe)
    if not os.environ.get(NODE_RANK) and _is_loopback(host):
        raise RecipeError(
            f"compute.rendezvous: {host} is every machine's own address: give the address by which the other nodes reach "
            f"the first one (several nodes on one machine: set {NODE_RANK} for each)"
        )
    if recipe.evolve.stop_on and recipe.evolve.stop_by == "train":
        raise RecipeError(
            "evolve.stop_by: train trains after every round, and the other nodes cannot know how often: use verify_rate, "
            "or compute.nodes: 1"
        )
    if is_first_node(recipe) and _is_taken(host, port):
        raise RecipeError(
            f"compute.rendezvous: {host}:{port} is in use on this machine: another training or another node with the same "
            "address; wait for it, or give another port"
        )


def rendezvous(recipe: Recipe) -> tuple[str, int]:
    """Host and port of `compute.rendezvous`."""
    text = recipe.compute.rendezvous
    host, _, port = text.partition(":")
    if not host or (port and not (port.isdecimal() and 0 < int(port) < 2**16)):
        raise RecipeError(
            f"compute.rendezvous: {text!r} must be HOST or HOST:PORT (1 to 65535) of the first node (start the same command on each node)"
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


def wait_for_first_node(recipe: Recipe, *, say_every_s: float = SAY_EVERY_S) -> None:
    """Returns when the first node has opened the rendezvous. A signal ends the wait at once."""
    host, port = rendezvous(recipe)
    begun = said = time.monotonic()
    while not _is_open(host, port):
        if begun == said or time.monotonic() - said >= say_every_s:
            minutes = (time.monotonic() - begun) / 60
            print(
                f"  train: waits for the first node to begin training at {host}:{port} ({minutes:.0f} min)",
                file=sys.stderr, flush=True,
            )  # fmt: skip
            said = time.monotonic()
        time.sleep(1.0)


def others_line(recipe: Recipe) -> str:
    """Which nodes the first one waits for, and what to start there: the end of a line that the user sees."""
    host, port = rendezvous(recipe)
    others = recipe.compute.nodes - 1
    which = "the other node" if others == 1 else f"the other {others} nodes"
    return f"{which} at {host}:{port} (start the same command on each)"


def _is_open(host: str, port: int) -> bool:
    try:
        socket.create_connection((host, port), _CONNECT_S).close()
    except OSError:
        return False
    return True


def _is_loopback(host: str) -> bool:
    try:
        return socket.gethostbyname(host).startswith("127.")
    except OSError:
        return False


def _is_taken(host: str, port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            return error.errno == errno.EADDRINUSE
    return False
