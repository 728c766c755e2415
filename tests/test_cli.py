import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from rich.progress import Progress

from micrograd_xor import cli
from micrograd_xor.xor import experiments, figures
from micrograd_xor.xor.closed_form import CLOSED_FORMS
from micrograd_xor.xor.compact_form import PAPER_WEIGHTS, Weights
from micrograd_xor.xor.training import train


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(experiments, "SIZES", (2,))
    return tmp_path


@pytest.fixture
def unrendered(monkeypatch):
    monkeypatch.setattr(figures, "render", lambda _, suffix: suffix.encode())


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ("", "Missing command."),
        ("learn", "No such command 'learn'."),
        ("study --hiden 2", "No such option: --hiden"),
        ("study --hidden two", "'--hidden'"),
        ("study --hidden 0", "hidden must be a whole number of at least 1, got 0."),
        ("study --hidden 101", "at most 100 hidden units, got 101."),
        ("study --iterations -1", "iterations must be a whole number of at least 0, got -1."),
        ("study --learning-rate -1", "learning_rate must be a finite number of at least 0, got -1.0."),
        ("study --learning-rate nan", "learning_rate must be a finite number of at least 0, got nan."),
        ("study --seed -1", "seed must be a whole number of at least 0, got -1."),
        ("study --out file/folder", "--out must be where files can be written, got 'file/folder'"),
        ("study --out file", "--out must be where files can be written, got 'file'"),
        ("study --weights file", "A weights file must be what Weights.save writes, got something else in 'file'."),
        ("study --weights none.json", "--weights must be 'paper' or a file that can be read, got 'none.json'"),
        ("study --weights huge.json", "at most 100 hidden units, got 120."),
        ("train --out .", "--out must be a file, got the folder '.'."),
        ("train --out file/w.json", "--out must be where files can be written, got 'file'"),
        ("train --hidden 0", "hidden must be a whole number of at least 1, got 0."),
        ("check --weights file", "A weights file must be what Weights.save writes"),
        ("derive --hidden 0", "hidden must be a whole number of at least 1, got 0."),
        ("derive --hidden 101", "at most 100 hidden units, got 101."),
        ("derive --format pdf", "format must be one of text, latex, markdown, html, tex, got 'pdf'."),
        ("draw --x1 nan", "x1 must be a finite number, got nan."),
        ("draw --r 2", "The target r must be between 0 and 1, got 2.0."),
        ("draw --out graph.gif", "A drawing's file must end in .svg, .png or .dot, got 'graph.gif'."),
        ("draw --out file/graph.svg", "got 'file/graph.svg'"),
    ],
)
def test_bad_input_is_one_clear_line_and_leaves_nothing(here, capsys, arguments, complaint):
    (here / "file").write_text("not ours")
    Weights.random(120, 0).save(here / "huge.json")
    assert cli.main(arguments.split()) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1
    assert err.startswith("micrograd-xor: ")
    assert complaint in err
    assert {path.name for path in here.iterdir()} == {"file", "huge.json"}


@pytest.mark.parametrize("command", ["", "study", "train", "check", "draw", "derive"])
def test_help_says_what_there_is(capsys, command):
    assert cli.main([*command.split(), "--help"]) == 0
    out, err = capsys.readouterr()
    assert f"micrograd-xor {command}" in out
    assert err == ""


def python(*arguments):
    root = Path(cli.__file__).parents[1]
    return subprocess.run([sys.executable, *arguments], capture_output=True, text=True, check=False, cwd=root)


@pytest.mark.parametrize("module", ["typer", "rich", "matplotlib", "sympy"])
def test_what_is_missing_is_said_in_one_line(module):
    program = (
        f"import sys; sys.modules[{module!r}] = None; from micrograd_xor.cli import main; sys.exit(main(['study']))"
    )
    run = python("-c", program)
    assert run.returncode == 2
    assert run.stderr == f"micrograd-xor: {module} must be installed. pip install 'micrograd-xor[study]'\n"


def test_the_module_runs_as_the_command_does():
    run = python("-m", "micrograd_xor", "check", "--hidden", "0")
    assert run.returncode == 2
    assert run.stderr == "micrograd-xor: hidden must be a whole number of at least 1, got 0. Give an int.\n"


def test_study_writes_its_report(here, capsys):
    assert cli.main(["study", "--iterations", "20", "--hidden", "3", "--out", "new/folder"]) == 0
    out = capsys.readouterr().out
    assert "All 29 agree." in out
    assert "(z − r) u₂ h₂ (1 − h₂) x₁" in out
    assert "The report is in new/folder/index.html" in out
    assert len(list((here / "new" / "folder").iterdir())) == 18


def test_study_puts_the_papers_weights_through(here, capsys, monkeypatch, unrendered):
    monkeypatch.setattr(experiments, "SIZES", ())
    assert cli.main(["study", "--weights", "paper"]) == 0
    out = capsys.readouterr().out
    assert "Solves XOR" in out
    assert "Training" not in out
    for z in ("0.00115217", "0.99913532", "0.99914375", "0.00102255"):
        assert z in out
    assert Weights.load(here / "xor-study" / "weights.json").names() == PAPER_WEIGHTS.names()


def test_derive_prints_the_paper(capsys):
    assert cli.main(["derive", "--hidden=3"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "∂E/∂w_jk   = (z - r) u_j h_j (1 - h_j) x_k" in lines
    assert "∂E/∂w₃₂ = ∂E/∂z · ∂z/∂z̄ · ∂z̄/∂h₃ · ∂h₃/∂h̄₃ · ∂h̄₃/∂w₃₂" in lines
    assert cli.main(["derive", "--format=tex"]) == 0
    assert capsys.readouterr().out.startswith(r"\documentclass{article}")


def test_train_saves_what_the_engine_learnt(here, capsys):
    options = ["--hidden=3", "--seed=4", "--iterations=30", "--learning-rate=2", "--out=new/w.json"]
    assert cli.main(["train", "--engine=eager", *options]) == 0
    expected = train(Weights.random(3, 4), iterations=30, learning_rate=2.0).final
    assert Weights.load(here / "new" / "w.json").names() == expected.names()
    assert "Does not solve XOR" in capsys.readouterr().out


def test_train_compiles_unless_told_otherwise(here):
    assert cli.main(["train", "--iterations=300", "--out=compiled.json"]) == 0
    assert cli.main(["train", "--iterations=300", "--out=eager.json", "--engine=eager"]) == 0
    compiled, eager = (Weights.load(here / f"{engine}.json").names() for engine in ("compiled", "eager"))
    assert compiled == pytest.approx(eager, rel=1e-10)


def test_an_unknown_engine_is_bad_input(here, capsys):
    assert cli.main(["train", "--engine=fast"]) == 2
    assert "engine must be one of compiled, eager, got 'fast'" in capsys.readouterr().err
    assert not list(here.iterdir())


def test_train_goes_on_from_saved_weights(here):
    assert cli.main(["train", "--iterations", "30"]) == 0
    assert cli.main(["train", "--iterations", "30", "--weights", "weights.json", "--out", "further.json"]) == 0
    expected = train(Weights.random(2, 0), iterations=60).final
    assert Weights.load(here / "further.json").names() == pytest.approx(expected.names(), rel=1e-15)


class Pressed:
    """`Progress.update`, with Ctrl-C pressed at its n-th call."""

    def __init__(self, n):
        self.calls, self.n, self.update = 0, n, Progress.update

    def __call__(self, *args, **kwargs):
        self.calls += 1
        if self.calls == self.n:
            raise KeyboardInterrupt
        self.update(*args, **kwargs)


@pytest.mark.parametrize(("command", "file"), [("train", "weights.json"), ("study", "xor-study/weights.json")])
def test_ctrl_c_keeps_what_was_done(here, monkeypatch, unrendered, command, file):
    pressed = Pressed(8)
    monkeypatch.setattr(Progress, "update", lambda *args, **kwargs: pressed(*args, **kwargs))
    assert cli.main([command, "--engine=eager"]) == 130
    expected = train(Weights.random(2, 0), iterations=7).final
    assert Weights.load(here / file).names() == expected.names()


def test_ctrl_c_while_nothing_is_done_is_quiet(monkeypatch, capsys):
    monkeypatch.setattr(experiments, "compare", Pressed(1))
    assert cli.main(["check"]) == 130
    assert capsys.readouterr().err == ""


def test_check_succeeds(capsys):
    assert cli.main(["check", "--weights", "paper"]) == 0
    out = capsys.readouterr().out
    assert all(f" {id} " in out for id in CLOSED_FORMS)
    assert "All 29 agree." in out


def test_check_fails_where_a_partial_is_off(monkeypatch, capsys):
    monkeypatch.setitem(CLOSED_FORMS, "T4", replace(CLOSED_FORMS["T4"], rule=lambda **_: 1.0))
    assert cli.main(["check"]) == 1
    assert "Off: T4." in capsys.readouterr().out


@pytest.mark.parametrize("file", ["graph.svg", "graph.png", "graph.dot"])
def test_draw_writes_the_graph(here, file):
    assert cli.main(["draw", "--weights", "paper", "--no-partials", "--out", file]) == 0
    assert (here / file).stat().st_size > 1000
