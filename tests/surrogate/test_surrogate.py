"""The table of curves, the model of it, and searches that it answers.

The oracles are the files of results that the table was made from, torch's own count of
parameters, scikit-learn, and the moments of many drawn runs.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import spearmanr
from sklearn.gaussian_process import GaussianProcessRegressor

from lightsearch import (
    build,
    cost,
    curves,
    fingerprint,
    load_result,
    parse,
    parse_recipe,
    search,
)
from lightsearch.errors import ArgumentError
from lightsearch.surrogate.answers import answer, check_surrogate, true_accuracy
from lightsearch.surrogate.features import NAMES, measure
from lightsearch.surrogate.model import CurveModel, _correct, _error, _level, load_model
from lightsearch.surrogate.table import EPOCHS, IMAGES, RECIPE, SHAPE, read_runs

RESULTS = Path(__file__).parents[2] / "benchmarks" / "results"
NEW = "conv(10) separable(20) maxpool separable(24) conv(12) gap linear(10)"  # not in the table


@pytest.fixture(scope="module")
def model() -> CurveModel:
    return load_model()


# The table ---------------------------------------------------------------------------------------


def test_the_table_has_the_runs_of_the_files_of_results() -> None:
    files = [RESULTS / "curves.jsonl", RESULTS / "first_curves.jsonl"]
    lines = [json.loads(line) for path in files for line in path.read_text().splitlines()]
    measured = {(x["design"], x["recipe"], x["seed"]): x for x in reversed(lines)}
    runs = {(run.design, run.recipe, run.seed): run for run in read_runs()}
    assert runs.keys() == measured.keys() and len(runs) >= 100
    for key, run in runs.items():
        line = measured[key]
        assert list(run.averaged) == line["averaged"] and list(run.raw) == line["raw"]
        assert list(run.loss) == pytest.approx(line.get("loss", []), abs=5e-6)


def test_the_frame_has_an_epoch_a_row() -> None:
    frame, runs = curves(), read_runs()
    assert len(frame) == EPOCHS * len(runs)
    last = frame[frame.epoch == EPOCHS]
    assert [round(one * IMAGES) for one in last.accuracy] == [run.averaged[-1] for run in runs]
    assert frame[["design", "seed", "drawn"]].notna().all(axis=None)
    assert frame.groupby("run").epoch.apply(list).map(lambda e: e == list(range(1, 16))).all()


# Features ----------------------------------------------------------------------------------------


def test_features_of_a_design_by_hand() -> None:
    design = (
        "conv(8,p=0,act-norm) conv(16,k=1) maxpool residual([separable(16)]) gate gap linear(10)"
    )
    spent = cost(parse(design))
    found = dict(zip(NAMES, measure(spent), strict=True))
    counted = sum(p.numel() for p in build(parse(design), SHAPE).parameters())
    assert found["log_params"] == pytest.approx(np.log(counted))
    assert found["log_field"] == pytest.approx(np.log(spent.receptive_field))
    assert found["depth"] == 4  # two convolutions, a separable one, the classes
    assert (found["depth_1"], found["depth_2"]) == (2, 2)
    assert found["params_1"] + found["params_2"] + found["params_4"] == pytest.approx(1)
    assert (found["residual"], found["attention"], found["pools"]) == (1, 1, 1)
    thirds = [found[name] for name in ("pointwise", "separable", "unpadded", "act_norm")]
    assert thirds == pytest.approx([1 / 3] * 4)
    assert np.exp([found["log_first"], found["log_last"]]) == pytest.approx([8, 16])


def test_the_passes_of_a_loop_are_layers_but_not_parameters() -> None:
    texts = "conv(8) maxpool loop([separable(8)],3) linear(10)", "conv(8) maxpool separable(8)*3"
    loop, row = (dict(zip(NAMES, measure(cost(parse(text))), strict=True)) for text in texts)
    assert loop["depth"] == row["depth"] + 1 == 5 and loop["depth_2"] == 4
    assert loop["params_1"] + loop["params_2"] + loop["params_4"] == pytest.approx(1)
    assert loop["macs_1"] + loop["macs_2"] == pytest.approx(1)
    assert loop["separable"] == row["separable"] == 3 / 4


# The model ---------------------------------------------------------------------------------------


def test_levels_and_errors_are_inverse() -> None:
    correct = np.arange(9000, 10000, 7)
    for count in correct:
        errors = _error(_level(np.full(EPOCHS, count)))
        assert errors == pytest.approx(np.full(EPOCHS, (IMAGES - count) / 100))
        assert _correct(_level(np.full(EPOCHS, count))) == (count,) * EPOCHS


def test_each_design_predicted_from_the_others_is_what_scikit_learn_predicts(
    model: CurveModel,
) -> None:
    """The closed form keeps the standardisation of all designs, so it is a little off."""
    predicted = model.leave_one_out()
    for index in range(0, len(model.prints), 9):
        others = np.arange(len(model.prints)) != index
        process = GaussianProcessRegressor(
            model._process.kernel,
            alpha=model._process.alpha[others],
            optimizer=None,
            normalize_y=True,
        ).fit(model._scaled(model.features)[others], model.means[others])
        (expected,) = process.predict(model._scaled(model.features)[index : index + 1])
        assert predicted[index] == pytest.approx(expected, abs=0.03)


def test_designs_are_ranked_without_their_own_runs(model: CurveModel) -> None:
    """The figures of docs/surrogate.md, with room: among all sizes, not near one cap."""
    predicted, means = model.leave_one_out(), model.means
    for epoch, least in ((1, 0.85), (3, 0.8), (15, 0.8)):
        rank = spearmanr(predicted[:, epoch - 1], means[:, epoch - 1]).statistic
        assert rank > least
    wrong = _error(predicted)[:, -1] - _error(means)[:, -1]
    assert np.sqrt(np.mean(wrong**2)) < 0.15  # points
    assert np.median(np.abs(wrong)) < 0.06


def test_a_run_of_the_table_is_answered_as_it_was(model: CurveModel) -> None:
    runs = [run for run in read_runs() if run.recipe == RECIPE and run.loss]
    for run in runs[:20]:
        design = parse(run.design)
        answers = [answer(design, run.seed, epoch) for epoch in range(1, EPOCHS + 1)]
        assert tuple(one.correct for one in answers) == run.averaged
        assert tuple(one.raw_correct for one in answers) == run.raw
        assert tuple(one.train_loss for one in answers) == run.loss


def test_seeds_vary_as_those_of_the_table_do(model: CurveModel) -> None:
    spent, print_ = cost(parse(NEW), SHAPE, 10), fingerprint(parse(NEW), SHAPE)
    runs = np.array([model.curve(spent, print_, seed).averaged for seed in range(1500)])
    levels = np.array([_level(run) for run in runs])
    spread = np.sqrt(np.diag(model.seed_covariance))
    assert levels.std(axis=0) == pytest.approx(spread, rel=0.1)
    expected = model.seed_covariance[-1, -2] / (spread[-1] * spread[-2])
    assert np.corrcoef(levels[:, -1], levels[:, -2])[0, 1] == pytest.approx(expected, abs=0.05)
    error = runs[:, -1].std() / len(runs) ** 0.5 / IMAGES
    assert abs(runs[:, -1].mean() / IMAGES - true_accuracy(parse(NEW))) < 4 * error


@pytest.mark.slow
def test_answers_are_the_same_in_another_process() -> None:
    here = [answer(parse(NEW), seed, 15).correct for seed in range(5)]
    code = (
        "from lightsearch import parse; from lightsearch.surrogate.answers import answer; "
        f"print([answer(parse({NEW!r}), seed, 15).correct for seed in range(5)])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == here and len(set(here)) > 1


# Searches ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"dataset": "digits"}, "`dataset` must be mnist"),
        ({"shape": (1, 8, 8)}, r"`image shape` must be \(1, 28, 28\)"),
        ({"images": 360}, "`number of images that select` must be 10000"),
        ({"epochs": 5}, "`epochs` must be 15"),
        ({"recipe": "recipe(lr=0.1)"}, "`recipe` must be recipe"),
        ({"device": "cuda"}, "`device` must be cpu"),
    ],
)
def test_what_the_table_does_not_answer_is_refused(change: dict, message: str) -> None:
    given = {
        "dataset": "mnist",
        "shape": SHAPE,
        "images": IMAGES,
        "epochs": EPOCHS,
        "recipe": parse_recipe(RECIPE),
        "device": "cpu",
    }
    check_surrogate(**given)
    with pytest.raises(ArgumentError, match=message):
        check_surrogate(**{**given, **change})


def test_a_search_of_other_images_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ArgumentError, match="engine='surrogate'"):
        search(1500, 15, dataset="digits", engine="surrogate", study=tmp_path / "s")
    assert not (tmp_path / "s").exists()


def test_a_search_is_answered(
    blank_mnist: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = {"budget": 8000, "epochs": 15, "engine": "surrogate", "trials": 12, "workers": 1}
    given["data"] = blank_mnist
    result = search(**given, study=tmp_path / "s")
    assert capsys.readouterr().out.startswith("Nothing is trained: the surrogate answers")
    assert len(result.records) == 12 and {row for row in result.trials["engine"]} == {"surrogate"}
    for trial in result.records:
        design, seed = parse(trial.candidate.design), trial.candidate.seed
        expected = [answer(design, seed, epoch.epoch).correct for epoch in trial.epochs]
        assert [epoch.correct for epoch in trial.epochs] == expected
    again = search(**{**given, "trials": 6}, study=tmp_path / "half", quiet=True)
    assert len(again.records) == 6
    whole = search(**given, study=tmp_path / "half", quiet=True)
    assert [t.candidate.design for t in whole.records] == [
        t.candidate.design for t in load_result(tmp_path / "s").records
    ]
