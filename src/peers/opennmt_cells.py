"""Benchmark cells of OpenNMT-py: its `Translator` on models made by its `build_base_model`."""

import importlib.metadata
from typing import Any

import pyonmttok
import torch
from onmt.constants import DefaultTokens
from onmt.model_builder import build_base_model
from onmt.opts import train_opts
from onmt.translate.beam_search import GNMTGlobalScorer
from onmt.translate.translator import Translator
from onmt.utils.parse import ArgumentParser
from serve import Cell, serve

SPECIALS = [DefaultTokens.UNK, DefaultTokens.PAD, DefaultTokens.BOS, DefaultTokens.EOS]


def _options(work: dict[str, Any]) -> dict[str, list[str]]:
    rnn, transformer = work["rnn"], work["transformer"]
    recurrent = (
        f"-encoder_type brnn -decoder_type rnn -rnn_type GRU -layers 1 -word_vec_size {rnn['embedding']} "
        f"-hidden_size {rnn['decoder']} -global_attention mlp -input_feed 1"
    )
    stack = (
        f"-encoder_type transformer -decoder_type transformer -layers {transformer['blocks']} "
        f"-hidden_size {transformer['model']} -word_vec_size {transformer['model']} "
        f"-transformer_ff {transformer['feed_forward']} -heads {transformer['heads']} -position_encoding"
    )
    return {"rnn": recurrent.split(), "transformer": stack.split()}


def prepare(work: dict[str, Any]) -> tuple[dict[str, Cell], dict[str, int], str]:
    words = {
        side: pyonmttok.build_vocab_from_tokens([f"w{i}" for i in range(count - 4)], special_tokens=SPECIALS)
        for side, count in (("src", work["sources"]), ("tgt", work["targets"]))
    }
    for vocabulary in words.values():
        vocabulary.default_id = vocabulary[DefaultTokens.UNK]
    vocabularies = {**words, "data_task": "seq2seq", "decoder_start_token": DefaultTokens.BOS}
    parser = ArgumentParser()
    train_opts(parser)
    cells: dict[str, Cell] = {}
    parameters = {}
    for name, options in _options(work).items():
        needed = ["-data", "{}", "-src_vocab", "none", "-save_model", "none"]
        settings, _ = parser.parse_known_args([*needed, *options])
        ArgumentParser.update_model_opts(settings)
        model = build_base_model(settings, vocabularies).eval()
        for parameter in model.parameters():  # OpenNMT-py initializes weights only when training starts
            torch.nn.init.uniform_(parameter, -settings.param_init, settings.param_init)
        parameters[name] = sum(p.numel() for p in model.parameters())
        for kind, size in (("greedy", 1), ("beam", work["beam"])):
            translator = Translator(
                model, vocabularies, n_best=1, min_length=work["steps"], max_length=work["steps"], max_length_ratio=0,
                beam_size=size, random_sampling_topk=1 if size == 1 else 0,
                global_scorer=GNMTGlobalScorer(0.0, 0.0, "none", "none"), report_score=False,
            )  # fmt: skip

            def cell(source: torch.Tensor, lengths: torch.Tensor, translator: Any = translator) -> int:
                source = source.masked_fill(source == 0, 1)  # OpenNMT-py's padding id
                batch = {"src": source.unsqueeze(-1), "srclen": lengths, "ind_in_bucket": list(range(len(source)))}
                found = translator.translate_batch(batch, attn_debug=False)
                return sum(len(hypotheses[0]) for hypotheses in found["predictions"])

            cells[f"{name} {kind}"] = cell
    return cells, parameters, f"OpenNMT-py {importlib.metadata.version('OpenNMT-py')}"


if __name__ == "__main__":
    serve(prepare)
