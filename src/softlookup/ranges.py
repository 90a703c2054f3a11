"""Define the ranges and forms that settings and constructors declare for their values, as in `width: Size`."""

from typing import Annotated, NamedTuple


class Range(NamedTuple):
    """Bound a number from `least` to `most`; with `below`, `most` itself is out."""

    least: float
    most: float
    below: bool = False


class Form(NamedTuple):
    """Require a text to match the regular expression `pattern`; `name` describes it in an error."""

    pattern: str
    name: str


Size = Annotated[int, Range(1, 65_536)]  # of a layer, a head count, a window: above what any model here could use
Layers = Annotated[int, Range(1, 256)]
Dropout = Annotated[float, Range(0, 1, below=True)]
