"""`discern export RUN DIR --to onnx`: a run as graphs that answer without torch.

    image_encoder.onnx, text_encoder.onnx, answer.onnx     see `graphs`
    onnx.json                what goes in and comes out, whose weights these are, how well and how fast they answer
    vocabulary.json          the answers, and the words of a tokenizer of words
    tokenizer.json           any other tokenizer, for the library `tokenizers`
    calibration.json, ood.{json,safetensors}, README.md    the run's own

The folder is made beside its place and moved there when the graphs were seen to answer as the run does: an export that
fails leaves nothing.
"""

import json
import shutil
import tempfile
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from discern_vqa import shared_folder
from discern_vqa.data.sample import Sample
from discern_vqa.data.text import FolderTokenizer
from discern_vqa.errors import ConfigError
from discern_vqa.evaluation.onnx_graphs import TOKENIZER
from discern_vqa.evaluation.opening import open_run, samples_of
from discern_vqa.evaluation.predict import Predictor
from discern_vqa.evaluation.predict_onnx import VERSION
from discern_vqa.files import atomic_write_text, explained, sha256_of
from discern_vqa.onnx_export import compared, quantised
from discern_vqa.onnx_export.compared import Parity
from discern_vqa.onnx_export.graphs import GraphModule, graphs_of
from discern_vqa.onnx_export.quantised import Int8
from discern_vqa.onnx_export.write import OPSET, translated_once, write_graph
from discern_vqa.run import Run
from discern_vqa.run_folder import ONNX, VOCABULARY, require_run
from discern_vqa.version import __version__

MODES = ("classify", "classify_typed")
"""The ways of answering that graphs have; the others write word by word."""
_PACKAGES = ("onnx", "onnxruntime", "onnxscript")


@dataclass(frozen=True)
class Exported:
    """What was written. ms: of each graph for one image and one question on one thread, by torch and by onnxruntime."""

    folder: Path
    files: dict[str, int]  # name -> bytes
    parity: Parity
    ms: dict[str, dict[str, float]]
    int8: Int8 | None


def export(
    run: Path,
    out: Path,
    *,
    data: Path | None = None,
    int8: bool = False,
    licence: str = "",
    say: Callable[[str], None] = lambda text: None,
) -> Exported:
    """Writes the folder `out`, which must not exist or be empty.

    data: the data set's folder, if it moved: graphs are compared with the run on its questions. int8: tries weights of
    8 bits. licence: for the model card; none: as it stands there. say: is told what is done.

    Raises:
        ConfigError: `out` holds something, a package is missing, or the run answers in a way that no graph has.
        RunError: `run` is no finished run, torch cannot export it, or the graphs answer otherwise than the run.
        DataError: the data are not at hand.
    """
    run, out = Path(run), Path(out)
    require_run(run, finished=True)
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise ConfigError(f"{out} is there already, and not an empty folder", hint="name another folder for the export")
    if out.is_symlink() or (out.exists() and out.samefile(Path.cwd())):  # no folder can be moved there
        what = "a link" if out.is_symlink() else "the folder in which you are"
        raise ConfigError(f"{out} is {what}, and an export makes a folder", hint="name a folder that is not there yet")
    if missing := [name for name in _PACKAGES if find_spec(name) is None]:
        raise ConfigError(f"an export to ONNX needs {', '.join(missing)}", hint=f"pip install {' '.join(_PACKAGES)}")
    opened = Run.open(run)
    _refuse_what_no_graph_has(opened)
    questions, part, validation = _questions(opened, data)
    predictor = open_run(run, device="cpu")
    with explained(out):
        out.parent.mkdir(parents=True, exist_ok=True)
        made = Path(tempfile.mkdtemp(prefix=f".{out.name}.", dir=out.parent))
    try:
        exported = _written(made, predictor, (questions, part), validation if int8 else None, licence, say)
        with explained(out):
            made.chmod(0o755)
            made.replace(out)
    finally:
        with suppress(OSError):
            shutil.rmtree(made, ignore_errors=True)
    return Exported(out, *exported)


def _written(
    folder: Path,
    predictor: Predictor,
    asked: tuple[Sequence[Sample], str],
    validation: Sequence[Sample] | None,
    licence: str,
    say: Callable[[str], None],
) -> tuple[dict[str, int], Parity, dict[str, dict[str, float]], Int8 | None]:
    """All files of the export, in `folder`. validation: what 8 bits are tried on; None: they are not asked for."""
    run = predictor.run
    questions, part = asked
    wanted = compared.probabilities_of_run(predictor, questions)
    model = run.load_model()
    graphs = graphs_of(run, model, run.batcher(model))
    with translated_once():
        for graph in graphs:
            say(f"exporting {graph.name}")
            write_graph(graph, folder / f"{graph.name}.onnx")
    _write_what_answers(folder, predictor, licence)
    facts = _facts(predictor, graphs)
    _write_facts(folder, facts)
    say(f"comparing {len(questions)} questions with the run")
    parity = compared.compare(run.folder, wanted, folder, questions, part)
    tried = None
    if validation is not None:
        say(f"trying int8 on {len(validation):,} questions")
        tried = quantised.try_int8(folder, graphs, validation, run.recipe.data.normaliser)
    by_torch = compared.milliseconds(graphs)
    by_onnx = compared.milliseconds_of_folder(graphs, folder)
    ms = {name: {"torch": by_torch[name], "onnxruntime": by_onnx[name]} for name in by_torch}
    for name, entry in facts["graphs"].items():
        entry["sha256"] = sha256_of(folder / f"{name}.onnx")
        entry["ms"] = {engine: round(taken, 2) for engine, taken in ms[name].items()}
    facts["files"] = {name: sha256_of(folder / name) for name in (VOCABULARY, TOKENIZER) if (folder / name).is_file()}
    facts["parity"] = parity.fields()
    facts["int8"] = None if tried is None else quantised.as_json(tried)
    _write_facts(folder, facts)
    files = {file.name: file.stat().st_size for file in sorted(folder.iterdir())}
    return files, parity, ms, tried


def _refuse_what_no_graph_has(run: Run) -> None:
    """Raises ConfigError."""
    recipe = run.recipe
    if not recipe.is_network:
        raise ConfigError(
            f"{run.folder} is a baseline or somebody else's model, and has no network to export",
            hint="name the run of a model",
        )
    if recipe.run.mode not in MODES:
        raise ConfigError(
            f"{run.folder} answers by {recipe.run.mode!r}, and graphs answer by {' or '.join(MODES)}",
            hint="train it with --set run.mode=classify, or ask the run itself",
        )
    if recipe.model.image.frozen and min(recipe.run.views_at_test, recipe.data.views) > 1:
        raise ConfigError(
            f"{run.folder} averages its answers over {recipe.run.views_at_test} views of each image, a graph sees one",
            hint="train it with --set run.views_at_test=1, or ask the run itself",
        )


def _questions(run: Run, data: Path | None) -> tuple[list[Sample], str, list[Sample]]:
    """The questions that are compared, of which part they are, and the validation part."""
    samples = samples_of(run, data)
    validation = [sample for sample in samples.held_out() if not sample.is_caption]
    part, chosen = "validation", validation
    if not validation:
        part, chosen = "training", [sample for sample in samples.learning[0] if not sample.is_caption]
    step = max(1, len(chosen) // compared.QUESTIONS)  # spread over the part, so that there are several images
    return chosen[::step][: compared.QUESTIONS], part, validation


def _write_what_answers(folder: Path, predictor: Predictor, licence: str) -> None:
    run = predictor.run
    content = {"answers": run.vocabulary.to_json(), "text": run.tokenizer.to_json()}
    atomic_write_text(folder / VOCABULARY, json.dumps(content, indent=1, ensure_ascii=False))
    if isinstance(run.tokenizer, FolderTokenizer):
        if run.tokenizer.pieces is None:
            raise ConfigError(
                f"the tokenizer of {run.folder} has no tokenizer.json, which is all that is read without transformers",
                hint="ask the run itself",
            )
        run.tokenizer.pieces.save(folder / TOKENIZER)
    shared_folder.copy_trust(run.folder, folder, licence)


def _facts(predictor: Predictor, graphs: Sequence[GraphModule]) -> dict[str, Any]:
    """onnx.json, before anything was measured."""
    run, modes = predictor.run, [mode for mode in predictor.modes if mode in MODES]
    tokenizer = run.tokenizer
    return {
        "version": VERSION,
        "made_by": f"discern {__version__}",
        "name": run.folder.resolve().name,
        "weights_sha256": predictor.weights_sha256,
        "opset": OPSET,
        "model": {"name": run.recipe.model.name},
        "data": {"dataset": run.recipe.data.dataset},
        "mode": run.recipe.run.mode,
        "modes": modes,
        "is_refit": predictor.is_refit,
        "image": {
            "size": predictor.image_size,
            "layout": "channels (red, green, blue), rows, columns",
            "range": [0, 1],
            "preprocessing": "the whole image, scaled (bicubic) until its longer side fits, in the middle of a black"
            " square; grey images three times",
        },
        "text": {
            "length": run.recipe.data.text_length,
            "pad": tokenizer.pad,
            "tokenizer": TOKENIZER if isinstance(tokenizer, FolderTokenizer) else "the words of vocabulary.json",
        },
        "graphs": {
            graph.name: {
                "inputs": {name: _described(graph, name) for name in graph.examples},
                "outputs": list(graph.outputs),
            }
            for graph in graphs
        },
    }


def _described(graph: GraphModule, name: str) -> dict[str, Any]:
    example = graph.examples[name]
    axes = graph.dynamic[name]
    return {"type": str(example.dtype).removeprefix("torch."), "shape": [*axes, *example.shape[len(axes) :]]}


def _write_facts(folder: Path, facts: dict[str, Any]) -> None:
    atomic_write_text(folder / ONNX, json.dumps(facts, indent=1, ensure_ascii=False, allow_nan=False) + "\n")
