"""Define how a class of the contract names the group of choices that makes it."""

from typing import NamedTuple


class Group(NamedTuple):
    """Name a folder of conf/, and the arguments that the program passes once it knows them.

    The config gives the other arguments of a constructor. Where `later` is not empty the config describes a factory.
    """

    name: str
    later: tuple[str, ...] = ()
