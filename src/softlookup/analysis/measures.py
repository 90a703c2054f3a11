"""Name the measures of a result row, and decide which are percentages. No torch."""

UP_TO = "up to the first difference"
GOLD = ("alignment_accuracy", "gold_mass", "aer", "best_offset_accuracy")  # measures that compare weights with gold


def percent(measure: str) -> bool:
    """Return whether a measure is a share between 0 and 1 (BLEU and chrF run to 100, entropy is in nats)."""
    return any(word in measure for word in ("accuracy", "match", "mass", "aer", "area"))


def title(measure: str) -> str:
    """Return the display name of a metric: `test/forced/token_accuracy` → token accuracy (teacher forcing).

    With free decoding, measures against gold alignments cover the positions before the first difference from the
    reference, and the name says so.
    """
    words = measure.removeprefix("test/").removeprefix("validation/")
    forced = words.startswith(("forced/", "forced_"))
    words = words.removeprefix("forced/").removeprefix("forced_").replace("_", " ")
    words = words.replace("bleu", "BLEU").replace("chrf", "chrF").replace("aer", "AER")
    if measure.rpartition("/")[2] in GOLD and not forced:
        return f"{words} (free decoding, {UP_TO})"
    return f"{words} (teacher forcing)" if forced else words
