"""Define how an interface class names the config group that builds it."""

from typing import NamedTuple


class Group(NamedTuple):
    """Name a folder of conf/, and the constructor arguments that the program supplies later.

    The config supplies the other arguments. If `later` is not empty, the config describes a factory.
    """

    name: str
    later: tuple[str, ...] = ()
