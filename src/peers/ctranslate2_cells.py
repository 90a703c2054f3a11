"""Benchmark cells of CTranslate2: the transformer, written in its format with random weights, in float32."""

import shutil
import tempfile
from functools import partial
from typing import Any

import ctranslate2
import numpy as np
from ctranslate2.specs import TransformerSpec
from serve import Batch, Prepared, serve


def _specification(work: dict[str, Any]) -> TransformerSpec:
    """Return the transformer of the other systems: normalization before sublayers, projections of the attention without
    biases, sinusoidal positions."""
    sizes = work["transformer"]
    width, inner = sizes["model"], sizes["feed_forward"]
    model = TransformerSpec.from_config((sizes["blocks"],) * 2, sizes["heads"], pre_norm=True)
    generator = np.random.default_rng(1)

    def drawn(*shape: int) -> np.ndarray:
        return generator.uniform(-0.1, 0.1, shape).astype(np.float32)

    def linear(spec: Any, outputs: int, inputs: int, bias: bool) -> None:
        spec.weight = drawn(outputs, inputs)
        if bias:
            spec.bias = drawn(outputs)

    def norm(spec: Any) -> None:
        spec.gamma, spec.beta = np.ones(width, np.float32), np.zeros(width, np.float32)

    def attention(spec: Any, projections: tuple[int, ...]) -> None:
        norm(spec.layer_norm)
        for each, count in zip(spec.linear, projections, strict=True):
            linear(each, count * width, width, bias=False)

    for part, side in ((model.encoder, "sources"), (model.decoder, "targets")):
        embeddings = part.embeddings[0] if isinstance(part.embeddings, list) else part.embeddings
        embeddings.weight = drawn(work[side], width)
        part.scale_embeddings = True
        norm(part.layer_norm)
        for layer in part.layer:
            attention(layer.self_attention, (3, 1))
            if part is model.decoder:
                attention(layer.attention, (1, 2, 1))
            norm(layer.ffn.layer_norm)
            linear(layer.ffn.linear_0, inner, width, bias=True)
            linear(layer.ffn.linear_1, width, inner, bias=True)
    linear(model.decoder.projection, work["targets"], width, bias=True)
    for register, side in (
        (model.register_source_vocabulary, "sources"),
        (model.register_target_vocabulary, "targets"),
    ):
        register(["<blank>", "<unk>", "<s>", "</s>", *(f"w{i}" for i in range(4, work[side]))])
    return model


def prepare(work: dict[str, Any]) -> Prepared:
    model = _specification(work)
    model.validate()
    folder = tempfile.mkdtemp()
    try:
        model.save(folder)
        translator = ctranslate2.Translator(
            folder, "cpu", compute_type="float32", inter_threads=1, intra_threads=work["threads"]
        )
    finally:
        shutil.rmtree(folder)
    cells = {
        f"transformer {kind}": partial(_decoded, translator, work["steps"], size)
        for kind, size in (("greedy", 1), ("beam", work["beam"]))
    }
    parameters = sum(
        value.numpy().size for name, value in model.variables(ordered=True) if name.rpartition("/")[2] in WEIGHTS
    )
    return Prepared(cells, {"transformer": parameters}, f"CTranslate2 {ctranslate2.__version__}")


WEIGHTS = ("weight", "bias", "gamma", "beta")


def _decoded(translator: ctranslate2.Translator, steps: int, size: int, batch: Batch) -> int:
    rows = zip(batch.source.tolist(), batch.lengths.tolist(), strict=True)
    sources = [[f"w{word}" for word in row[:length]] for row, length in rows]
    found = translator.translate_batch(
        sources, beam_size=size, min_decoding_length=steps, max_decoding_length=steps, max_batch_size=0
    )
    return sum(len(result.hypotheses[0]) for result in found)


if __name__ == "__main__":
    serve(prepare)
