"""Define the ranges and forms that settings and constructors declare for their values, as in `width: Size`."""

from typing import Annotated, NamedTuple


class Range(NamedTuple):
    """Bound a number from `least` to `most`; with `below`, `most` itself is excluded."""

    least: float
    most: float
    below: bool = False


class Form(NamedTuple):
    """Require a text to match the regular expression `pattern`; `name` describes it in error messages."""

    pattern: str
    name: str


Size = Annotated[
    int, Range(1, 65_536)
]  # layer widths, numbers of heads, window sizes: more than any model here can use
Layers = Annotated[int, Range(1, 256)]
Dropout = Annotated[float, Range(0, 1, below=True)]
