"""Define the interfaces between the parts of the project. Read this first.

Shapes in the whole project:
**B** batch, **T** target length, **S** source length, **D** width, **H** heads, **V** vocabulary.

Attention is a soft lookup; a fixed context is a special case::

    memory  = attention.prepare(annotations)            # once per source
    reading = attention(query, memory, history)         # at every target step, or for all steps at once

Modules keep no state between calls: memory, history and decoder state are arguments and return values, so calls may
come in any order, and stepwise decoding (T = 1) and parallel decoding (T = full) run the same code.
"""

from softlookup.contract.examples import (
    Batch,
    Example,
    WordLinks,
)
from softlookup.contract.learning import (
    Initialization,
    Optimizer,
    Role,
    Schedule,
)
from softlookup.contract.model import (
    Attention,
    Decoder,
    Encoder,
    Normalizer,
    Score,
    SequenceMixer,
    Window,
)
from softlookup.contract.packing import Packing
from softlookup.contract.tasks import (
    Curriculum,
    Exam,
    Examples,
    Segmentation,
    Task,
)
from softlookup.contract.tensors import (
    Annotations,
    Decoded,
    DecoderState,
    History,
    KeysAndValues,
    Kind,
    Memory,
    Reading,
    View,
    Widths,
    of_layers,
    over_steps,
)

__all__ = [
    "Annotations",
    "Attention",
    "Batch",
    "Curriculum",
    "Decoded",
    "Decoder",
    "DecoderState",
    "Encoder",
    "Exam",
    "Example",
    "Examples",
    "History",
    "Initialization",
    "KeysAndValues",
    "Kind",
    "Memory",
    "Normalizer",
    "Optimizer",
    "Packing",
    "Reading",
    "Role",
    "Schedule",
    "Score",
    "Segmentation",
    "SequenceMixer",
    "Task",
    "View",
    "Widths",
    "Window",
    "WordLinks",
    "of_layers",
    "over_steps",
]
