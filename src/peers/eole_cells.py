"""Benchmark cells of Eole: its `Translator`, and a step of its `Trainer`, on models made by its `for_training`."""

import importlib.metadata
import logging
from functools import partial
from typing import Any

import pyonmttok
from eole.config.run import PredictConfig, TrainConfig
from eole.constants import DefaultTokens
from eole.models.model import get_model_class
from eole.predict import GNMTGlobalScorer
from eole.predict.translator import Translator
from eole.trainer import Trainer, TrainerConfig
from eole.utils import Statistics
from eole.utils.loss import LossCompute
from eole.utils.optimizers import Optimizer
from serve import Batch, Prepared, serve, with_bos_and_eos

PAD, BOS, EOS = 1, 2, 3
SPECIALS = {
    "unk_token": DefaultTokens.UNK, "pad_token": DefaultTokens.PAD,
    "bos_token": DefaultTokens.BOS, "eos_token": DefaultTokens.EOS,
}  # fmt: skip


def _models(work: dict[str, Any]) -> dict[str, dict[str, Any]]:
    rnn, transformer = work["rnn"], work["transformer"]
    # With architecture "rnn" the encoder has one direction, whatever its type.
    recurrent = {
        "architecture": "custom", "hidden_size": rnn["decoder"], "layers": 1, "input_feed": 1, "generator_bias": True,
        "embeddings": {"word_vec_size": rnn["embedding"]},
        "encoder": {"encoder_type": "brnn", "rnn_type": "GRU"},
        "decoder": {"decoder_type": "rnn", "rnn_type": "GRU", "global_attention": "mlp"},
    }  # fmt: skip
    stack = {
        "architecture": "transformer", "layers": transformer["blocks"], "hidden_size": transformer["model"],
        "transformer_ff": transformer["feed_forward"], "heads": transformer["heads"], "add_ffnbias": True,
        "embeddings": {"word_vec_size": transformer["model"], "position_encoding": True}, "generator_bias": True,
    }  # fmt: skip
    return {"rnn": recurrent, "transformer": stack}


def prepare(work: dict[str, Any]) -> Prepared:
    logging.disable(logging.CRITICAL)
    words = {
        side: pyonmttok.build_vocab_from_tokens(
            [f"w{i}" for i in range(count - 4)], special_tokens=[*SPECIALS.values()]
        )
        for side, count in (("src", work["sources"]), ("tgt", work["targets"]))
    }
    for vocabulary in words.values():
        vocabulary.default_id = vocabulary[DefaultTokens.UNK]
    vocabularies = {**words, "specials": SPECIALS, "decoder_start_token": DefaultTokens.BOS}
    cells = {}
    parameters = {}
    for name, sizes in _models(work).items():
        dropout = work[name]["dropout"]
        config = TrainConfig(
            data={"none": {"path_src": "none"}}, src_vocab="none", tgt_vocab="none", share_vocab=False, model=sizes,
            training={
                "dropout": [dropout], "attention_dropout": [dropout], "optim": "adam", "learning_rate": work["rate"],
                "max_grad_norm": work["clip"], "normalization": "tokens",
            },
        )  # fmt: skip
        model, decoding = (
            get_model_class(config.model).for_training(config.model, vocabularies, config.training, device_id=-1)
            for _ in range(2)
        )
        parameters[name] = sum(p.numel() for p in model.parameters())
        loss, optimizer = LossCompute.from_config(config, model, vocabularies), Optimizer.from_config(model, config)
        settings = TrainerConfig(norm_method="tokens", n_gpu=0, dropout=[dropout], attention_dropout=[dropout])
        trainer = Trainer(model, loss, loss, None, None, optimizer, settings)
        cells[f"{name} training"] = partial(_trained, trainer)
        for kind, size in (("greedy", 1), ("beam", work["beam"])):
            predicting = PredictConfig(
                model_path="none", src="none", model=config.model, beam_size=size, top_k=1 if size == 1 else 0,
                min_length=work["steps"], max_length=work["steps"], max_length_ratio=0, length_penalty="none",
            )  # fmt: skip
            decoding._prepare_for_inference(predicting)
            scorer = GNMTGlobalScorer.from_config(predicting)
            translator = Translator(decoding, vocabularies, predicting, config.model, -1, scorer, False, logging)
            cells[f"{name} {kind}"] = partial(_decoded, translator)
    return Prepared(cells, parameters, f"Eole {importlib.metadata.version('eole')}")


def _batch(batch: Batch) -> dict[str, Any]:
    source = batch.source.masked_fill(batch.source == 0, PAD)
    return {"src": source, "srclen": batch.lengths, "ind_in_bucket": list(range(len(source)))}


def _trained(trainer: Any, batch: Batch) -> int:
    target = with_bos_and_eos(batch.target, (PAD, BOS, EOS))
    corpus = {"cid": ["none"] * len(target), "cid_line_number": list(range(len(target)))}
    given = {**_batch(batch), **corpus, "tgt": target, "images": None, "prefix_len": None}
    ((batches, normalization),) = trainer._accum_batches([(given, 0)])
    total, reported = Statistics(), Statistics()
    trainer._process_accumulated_batches(batches, normalization, total, reported)
    return int(total.n_tokens)


def _decoded(translator: Any, batch: Batch) -> int:
    found = translator.predict_batch(_batch(batch), attn_debug=False)
    return sum(len(hypotheses[0]) for hypotheses in found["predictions"])


if __name__ == "__main__":
    serve(prepare)
