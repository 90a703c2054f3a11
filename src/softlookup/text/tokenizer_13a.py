"""Split text into words with sacrebleu's 13a tokenizer (that of mteval-v13a)."""

from sacrebleu.tokenizers.tokenizer_13a import Tokenizer13a
from sacrebleu.tokenizers.tokenizer_re import TokenizerRegexp

_tokenize = Tokenizer13a()


def words(text: str) -> list[str]:
    """Return the words and punctuation marks of a line."""
    return _tokenize(text).split()


def forget() -> None:
    """Clear the caches of the tokenizers, which otherwise keep 65,536 lines each until the process exits."""
    Tokenizer13a.__call__.cache_clear()
    TokenizerRegexp.__call__.cache_clear()
