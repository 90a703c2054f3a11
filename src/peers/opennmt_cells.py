"""Benchmark cells of OpenNMT-py: its `Translator`, and a step of its `Trainer`, on models made by its
`build_base_model`."""

import importlib.metadata
from functools import partial
from typing import Any

import pyonmttok
import torch
from onmt.constants import DefaultTokens
from onmt.model_builder import build_base_model
from onmt.opts import train_opts
from onmt.trainer import Trainer
from onmt.translate.beam_search import GNMTGlobalScorer
from onmt.translate.translator import Translator
from onmt.utils.loss import LossCompute
from onmt.utils.optimizers import Optimizer
from onmt.utils.parse import ArgumentParser
from onmt.utils.statistics import Statistics
from serve import Batch, Prepared, serve, with_bos_and_eos

SPECIALS = [DefaultTokens.UNK, DefaultTokens.PAD, DefaultTokens.BOS, DefaultTokens.EOS]
PAD, BOS, EOS = 1, 2, 3


def _options(work: dict[str, Any]) -> dict[str, list[str]]:
    rnn, transformer = work["rnn"], work["transformer"]
    recurrent = (
        f"-encoder_type brnn -decoder_type rnn -rnn_type GRU -layers 1 -word_vec_size {rnn['embedding']} "
        f"-hidden_size {rnn['decoder']} -global_attention mlp -input_feed 1 -dropout {rnn['dropout']}"
    )
    stack = (
        f"-encoder_type transformer -decoder_type transformer -layers {transformer['blocks']} "
        f"-hidden_size {transformer['model']} -word_vec_size {transformer['model']} "
        f"-transformer_ff {transformer['feed_forward']} -heads {transformer['heads']} -position_encoding "
        f"-dropout {transformer['dropout']} -attention_dropout {transformer['dropout']}"
    )
    return {"rnn": recurrent.split(), "transformer": stack.split()}


def prepare(work: dict[str, Any]) -> Prepared:
    words = {
        side: pyonmttok.build_vocab_from_tokens([f"w{i}" for i in range(count - 4)], special_tokens=SPECIALS)
        for side, count in (("src", work["sources"]), ("tgt", work["targets"]))
    }
    for vocabulary in words.values():
        vocabulary.default_id = vocabulary[DefaultTokens.UNK]
    vocabularies = {**words, "data_task": "seq2seq", "decoder_start_token": DefaultTokens.BOS}
    parser = ArgumentParser()
    train_opts(parser)
    cells = {}
    parameters = {}
    for name, options in _options(work).items():
        needed = f"-data {{}} -src_vocab none -save_model none -optim adam -max_grad_norm {work['clip']}".split()
        settings, _ = parser.parse_known_args([*needed, "-learning_rate", str(work["rate"]), *options])
        ArgumentParser.update_model_opts(settings)
        model = build_base_model(settings, vocabularies)
        for parameter in model.parameters():  # OpenNMT-py initializes weights only when training starts
            torch.nn.init.uniform_(parameter, -settings.param_init, settings.param_init)
        parameters[name] = sum(p.numel() for p in model.parameters())
        loss, optimizer = LossCompute.from_opts(settings, model, words["tgt"]), Optimizer.from_opt(model, settings)
        trainer = Trainer(model, loss, loss, None, None, optimizer, norm_method="tokens", n_gpu=0)
        cells[f"{name} training"] = partial(_trained, trainer)
        for kind, size in (("greedy", 1), ("beam", work["beam"])):
            translator = Translator(
                model, vocabularies, n_best=1, min_length=work["steps"], max_length=work["steps"], max_length_ratio=0,
                beam_size=size, random_sampling_topk=1 if size == 1 else 0,
                global_scorer=GNMTGlobalScorer(0.0, 0.0, "none", "none"), report_score=False,
            )  # fmt: skip
            cells[f"{name} {kind}"] = partial(_decoded, model, translator)
    return Prepared(cells, parameters, f"OpenNMT-py {importlib.metadata.version('OpenNMT-py')}")


def _batch(batch: Batch) -> dict[str, Any]:
    source = batch.source.masked_fill(batch.source == 0, PAD)
    return {"src": source.unsqueeze(-1), "srclen": batch.lengths, "ind_in_bucket": list(range(len(source)))}


def _trained(trainer: Any, batch: Batch) -> int:
    trainer.model.train()
    target = with_bos_and_eos(batch.target, (PAD, BOS, EOS)).unsqueeze(-1)
    ((batches, normalization),) = trainer._accum_batches([({**_batch(batch), "tgt": target}, 0)])
    total, reported = Statistics(), Statistics()
    trainer._gradient_accumulation(batches, normalization, total, reported)
    return int(total.n_words)


def _decoded(model: Any, translator: Any, batch: Batch) -> int:
    model.eval()
    found = translator.translate_batch(_batch(batch), attn_debug=False)
    return sum(len(hypotheses[0]) for hypotheses in found["predictions"])


if __name__ == "__main__":
    serve(prepare)
