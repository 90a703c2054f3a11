"""Measure BLEU on a subset of the validation set during training, by greedy decoding."""

from softlookup.contract import Task
from softlookup.data.collate import evaluation_batches
from softlookup.errors import UserError
from softlookup.evaluation.metrics import translation
from softlookup.model.seq2seq import Seq2Seq
from softlookup.search.search import Search
from softlookup.system.ranks import Processes


class Excerpt:
    """An evenly spaced subset of `count` validation examples (None: all), to be translated by `search`.

    Each rank decodes whole batches, and every rank measures the gathered outputs of all. Raises UserError for a task
    without text, and for a `count` above the size of the validation set.
    """

    def __init__(self, task: Task, count: int | None, search: Search, processes: Processes) -> None:
        examples = [example for example in task.validation() if example.reference is not None]
        if not examples:
            raise UserError("watch=bleu: the validation set of this task is not text; watch loss or token_accuracy")
        count = len(examples) if count is None else count
        if count > len(examples):
            raise UserError(f"watch_sentences={count}: the validation set has {len(examples)}")
        self.count = count
        self._batches = evaluation_batches([examples[i * len(examples) // count] for i in range(count)])
        self._task = task
        self._search = search
        self._processes = processes

    def bleu(self, model: Seq2Seq) -> float:
        """Return sacrebleu's cased BLEU, the same figure as `bleu` of the test set."""
        device = model.output.weight.device
        share: list[list[str]] = []
        for batch in self._processes.share(self._batches):
            written = self._search(model, batch.source.to(device), batch.source_mask.to(device), weights=False)
            share.append([self._task.target_vocabulary.write(best.ids) for best, *_ in written])
        hypotheses = [text for texts in self._processes.gathered(share) for text in texts]
        references = [str(example.reference) for batch in self._batches for example in batch.examples]
        found = translation.measure(hypotheses, references, self._task.splitting)["bleu"]
        assert found is not None
        return found
