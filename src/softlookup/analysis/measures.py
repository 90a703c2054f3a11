"""Define each measure of a result row once: its name, unit, direction and meaning. No torch.

All that shows a measure (terminal, page, pictures) takes these from here. A row has a measure under its plain name
(`by_length`), under `test/NAME` (free decoding) and under `test/forced/NAME` (teacher forcing); costs have full names.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache

UP_TO = "up to the first difference"
GOLD = ("alignment_accuracy", "gold_mass", "aer", "best_offset_accuracy")  # measures that compare weights with gold
VALIDATION = "validation/"
SHARED = "wall time, shared machine"


@dataclass(frozen=True)
class Measure:
    """Describe a measure of a result row: its title, unit, direction and meaning.

    `better` is "higher", "lower", or "" where neither is; a value divided by `scale` is in `unit`s.
    """

    title: str
    unit: str
    better: str
    meaning: str
    scale: float = 1.0


def _share(title: str, better: str, meaning: str) -> Measure:
    return Measure(title, "%", better, meaning, 0.01)


MEASURES = {
    "token_accuracy": _share(
        "token accuracy", "higher", "Share of reference positions, the end included, that have the right token."
    ),
    "exact_match": _share("exact match", "higher", "Share of examples whose whole output is right."),
    "bleu_lowercased": Measure(
        "BLEU lowercased", "BLEU", "higher", "Overlap of n-grams with the reference, without case: sacrebleu, 0 to 100."
    ),
    "bleu": Measure("BLEU", "BLEU", "higher", "Overlap of n-grams with the reference, with case: sacrebleu, 0 to 100."),
    "chrf_lowercased": Measure(
        "chrF lowercased", "chrF", "higher", "F-score of character n-grams, without case: sacrebleu, 0 to 100."
    ),
    "chrf": Measure("chrF", "chrF", "higher", "F-score of character n-grams, with case: sacrebleu, 0 to 100."),
    "bleu4_tokenized_lowercased": Measure(
        "BLEU4 tokenized lowercased", "BLEU", "higher", "BLEU as of Moses: tokenized text, no smoothing, 0 to 100."
    ),
    "area": _share("area", "higher", "Area under the curve of token accuracy over source length, as a share."),
    "effective_length": Measure(
        "effective length", "", "higher", "Longest source length up to which token accuracy is at least 90 %."
    ),
    "alignment_accuracy": _share(
        "alignment accuracy", "higher", "Share of target positions whose heaviest weight is on a gold source position."
    ),
    "gold_mass": _share("gold mass", "higher", "Share of the attention weight that is on gold source positions."),
    "aer": _share("AER", "lower", "Alignment error rate of the links by the heaviest weights."),
    "aer_silver": _share("AER silver", "lower", "Alignment error rate, against the links of a statistical aligner."),
    "alignment_accuracy_given_right": _share(
        "alignment accuracy given right", "higher", "Alignment accuracy at the positions whose token is right."
    ),
    "best_offset_accuracy": _share(
        "best offset accuracy", "higher", "Alignment accuracy after all positions are shifted by the best offset."
    ),
    "best_offset": Measure("best offset", "", "", "The shift of positions that aligns best with gold."),
    "alignment_positions": Measure("alignment positions", "", "", "Number of target positions compared with gold."),
    "entropy": Measure("entropy", "nats", "", "Mean entropy of a row of weights: 0 where one position has all weight."),
    "effective_positions": Measure(
        "effective positions", "", "", "exp(entropy): how many positions share the weight of a row."
    ),
    "validation/loss": Measure(
        "validation loss", "nats", "lower", "Mean cross-entropy of a validation token, teacher forcing."
    ),
    "validation/token_accuracy": _share(
        "validation token accuracy", "higher", "Token accuracy on validation data, teacher forcing."
    ),
    "curriculum/length": Measure("longest source", "", "", "Longest source length that the curriculum allows."),
    "timing/step": Measure(
        "step, timed alone", "ms", "lower", "Median time of one training step, with nothing else on the machine.", 1e-3
    ),
    "timing/token": Measure(
        "decoding a token, timed alone",
        "µs",
        "lower",
        "Median time of decoding one token of each of 32 sentences, per sentence, with nothing else on the machine.",
        1e-6,
    ),
    "cost/peak_bytes": Measure(
        "peak memory", "MB", "lower", "Peak of all tensors in memory during one training step.", 1e6
    ),
    "cost/peak_weights": Measure(
        "weights at the peak", "MB", "lower", "Bytes of parameters at the moment of peak memory.", 1e6
    ),
    "cost/peak_gradients": Measure(
        "gradients at the peak", "MB", "lower", "Bytes of accumulated gradients at the moment of peak memory.", 1e6
    ),
    "cost/peak_optimizer": Measure(
        "optimizer state at the peak",
        "MB",
        "lower",
        "Bytes of the optimizer's state at the moment of peak memory.",
        1e6,
    ),
    "cost/peak_activations": Measure(
        "activations at the peak", "MB", "lower", "Bytes that the forward pass keeps at the moment of peak memory.", 1e6
    ),
    "cost/peak_temporaries": Measure(
        "temporaries at the peak",
        "MB",
        "lower",
        "Bytes that the backward pass or the update made, at the moment of peak memory.",
        1e6,
    ),
    "cost/peak_inputs": Measure(
        "inputs at the peak", "MB", "lower", "Bytes of the batch that are in use at the moment of peak memory.", 1e6
    ),
    "cost/parameters": Measure("parameters", "k", "lower", "Number of trainable weights.", 1e3),
    "cost/flops": Measure(
        "FLOPs", "M", "lower", "Floating-point operations of products in one training step, forward and backward.", 1e6
    ),
    "cost/forward_flops": Measure(
        "forward FLOPs",
        "M",
        "lower",
        "Floating-point operations of products in the forward pass of one step, and in the loss and its gradients.",
        1e6,
    ),
    "cost/backward_flops": Measure(
        "backward FLOPs", "M", "lower", "Floating-point operations of products in the backward pass of one step.", 1e6
    ),
    "cost/state_bytes": Measure(
        "state", "kB", "lower", "What a decoding step can read of one source as long as the longest of training.", 1e3
    ),
    "cost/state_length": Measure("length of that source", "", "", "Length of the source whose state is measured."),
    "cost/seconds_per_step": Measure(
        f"step ({SHARED})", "ms", "lower", "Wall time of a training step while other runs shared the machine.", 1e-3
    ),
    "cost/seconds": Measure(
        f"whole run ({SHARED})", "s", "lower", "Wall time of the run while other runs shared the machine."
    ),
}


@cache
def measure(name: str) -> Measure:
    """Return the measure of a result row's column, or of a key of `by_length`; a derived one if it is not listed.

    Measures under teacher forcing say so, and measures against gold with free decoding say which positions count.

    >>> measure("test/forced/aer").title, measure("test/shiny_new").title, measure("validation/bleu").title
    ('AER (teacher forcing)', 'shiny new', 'validation BLEU')
    """
    if "/" in name and name in MEASURES:
        return MEASURES[name]
    validation = name.startswith(VALIDATION)
    plain = name.removeprefix("test/").removeprefix(VALIDATION)
    forced = plain.startswith(("forced/", "forced_"))
    plain = plain.removeprefix("forced/").removeprefix("forced_")
    found = MEASURES.get(plain) or Measure(plain.rpartition("/")[2].replace("_", " "), "", "", "")
    words = f"validation {found.title}" if validation else found.title
    if forced:
        return replace(found, title=f"{words} (teacher forcing)")
    gold = plain in GOLD and not validation
    return replace(found, title=f"{words} (free decoding, {UP_TO})" if gold else words)


def percent(name: str) -> bool:
    """Return whether a measure is a share between 0 and 1 (BLEU and chrF run to 100, entropy is in nats)."""
    return measure(name).unit == "%"


def title(name: str) -> str:
    """Return the display name of a measure.

    >>> title("test/forced/token_accuracy")
    'token accuracy (teacher forcing)'
    """
    return measure(name).title
