"""Split text into words with sacrebleu's 13a tokenizer (that of mteval-v13a)."""

from sacrebleu.tokenizers.tokenizer_13a import Tokenizer13a
from sacrebleu.tokenizers.tokenizer_re import TokenizerRegexp

_tokenize = Tokenizer13a()


def words(text: str) -> list[str]:
    """Return the words and punctuation marks of a line."""
    return _tokenize(text).split()


def forget() -> None:
    """Free the lines that the tokenizers remember, 65,536 each, for the life of the process."""
    Tokenizer13a.__call__.cache_clear()
    TokenizerRegexp.__call__.cache_clear()
