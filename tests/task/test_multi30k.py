"""The configured task on the real text, if MULTI30K_DIR points to it."""

import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import sacrebleu
from choices import node

from softlookup.config.build import build
from softlookup.task.folder import read_folder
from softlookup.task.parallel import Parallel
from softlookup.text.vocabulary import UNK

FOLDER = os.environ.get("MULTI30K_DIR")
pytestmark = pytest.mark.skipif(not FOLDER, reason="MULTI30K_DIR does not point at a folder of Multi30k")


@pytest.fixture(scope="module")
def task(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Parallel]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield build(node("task", "multi30k", path=FOLDER))


def test_sizes_are_those_of_the_published_text(task: Parallel) -> None:
    assert task.notes()[0].startswith("train: 29000 pairs de → en; dropped 0 with")
    assert (len(task.validation()), len(task.test())) == (1014, 1000)
    counts = [sum(low <= len(e.source) <= high for e in task.test()) for low, high in task.buckets]
    assert sum(counts) == 1000
    assert min(counts) >= 20


def test_one_pass_has_every_pair_and_respects_the_length_limit(task: Parallel) -> None:
    longest = task.lengths[1]
    stream = task.training(np.random.default_rng(1), lambda: longest)
    first, second = ([next(stream) for _ in range(29000)] for _ in range(2))
    assert Counter(first) == Counter(second)
    assert first != second
    stream = task.training(np.random.default_rng(1), lambda: 7)
    assert max(len(next(stream).source) for _ in range(1000)) == 7


def test_reference_words_score_bleu_100_where_none_is_unknown(task: Parallel) -> None:
    without_unknowns = [example for example in task.test() if UNK not in example.target]
    assert len(without_unknowns) > 700
    hypotheses = [task.target_vocabulary.write(example.target) for example in without_unknowns]
    references = [example.reference.lower() for example in without_unknowns]
    assert sacrebleu.corpus_bleu(hypotheses, [references]).score == pytest.approx(100)


def test_overlap_equals_a_count_of_lines_without_spaces(task: Parallel) -> None:
    splits = read_folder(Path(str(FOLDER)), "de", "en")
    squeezed = {
        name: [tuple("".join(side.lower().split()) for side in pair) for pair in split]
        for name, split in splits.items()
    }
    train, sources = set(squeezed["train"]), {source for source, _ in squeezed["train"]}
    for note, name in zip(task.notes()[1:3], ("validation", "test"), strict=True):
        whole = sum(pair in train for pair in squeezed[name])
        alone = sum(source in sources for source, _ in squeezed[name])
        assert note.endswith(f"{whole} of them and {alone} of their sources are in training too")
