import csv
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest
from test_figures import PAPER, hand_made

from micrograd_xor.xor import figures, page, report
from micrograd_xor.xor.compact_form import PAPER_WEIGHTS, Weights, loss
from micrograd_xor.xor.experiments import compare
from micrograd_xor.xor.training import train

FILES = {
    "index.html",
    "network.svg",
    "weights.json",
    "losses.csv",
    "figure-1.csv",
    "figure-4c.txt",
    *(f"{plate.name}.{suffix}" for plate in report.plates(PAPER) for suffix in ("svg", "png")),
}
ZERO = Weights.from_vector(np.zeros(9))


@pytest.fixture(scope="module", autouse=True)
def unrendered():
    """Figures by name alone: what is in them is for test_figures."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(figures, "render", lambda figure, suffix: f"{suffix} of {len(figure.axes)} axes".encode())
        yield


@pytest.fixture(scope="module")
def study():
    return replace(PAPER, comparisons=compare(PAPER_WEIGHTS))


@pytest.fixture(scope="module")
def folder(study, tmp_path_factory):
    folder = tmp_path_factory.mktemp("study") / "new" / "folder"
    assert report.write(study, folder) == folder / "index.html"
    return folder


def shown(study):
    return page.render(study, "<svg></svg>", [], "")


class Page(HTMLParser):
    """The links of a page, and the tags that were opened and not closed."""

    def __init__(self, text):
        super().__init__()
        self.links, self.open = [], []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.links += [value for name, value in attrs if name in ("src", "href", "xlink:href")]
        if tag not in ("html", "meta", "img"):
            self.open.append(tag)

    def handle_startendtag(self, _, attrs):
        self.links += [value for name, value in attrs if name in ("src", "href", "xlink:href")]

    def handle_endtag(self, tag):
        if tag != "html":
            assert self.open.pop() == tag


def test_every_file_is_written_whole(folder):
    assert {path.name for path in folder.iterdir()} == FILES
    assert all(path.stat().st_size for path in folder.iterdir())


def test_the_same_study_gives_the_same_bytes_and_overwrites(study, folder):
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    told = []
    report.write(study, folder, lambda *progress: told.append(progress))
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert told == [("Writing", i, len(FILES) - 1) for i in range(1, len(FILES))]  # the weights are there at once


def test_what_an_earlier_report_left_is_removed(tmp_path):
    for name in ("training.svg", "figure-1.png", "mine.svg"):
        (tmp_path / name).write_text("old")
    report.write(replace(hand_made(PAPER_WEIGHTS, panels=(0,)), iterations=0, convergence=[]), tmp_path)
    names = {path.name for path in tmp_path.iterdir()}
    assert "mine.svg" in names
    assert names.isdisjoint({"training.svg", "training.png", "figure-1.svg", "figure-1.png"})


def test_the_numbers_come_back(study, folder):
    assert Weights.load(folder / "weights.json").names() == PAPER_WEIGHTS.names()
    with (folder / "losses.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [float(row["mean_E"]) for row in rows] == study.history.losses.tolist()
    with (folder / "figure-1.csv").open() as file:
        medians = [float(row["median"]) for row in csv.DictReader(file)]
    assert medians == [x for runs in study.convergence for x in runs.quartiles()[1]]


def test_the_page_needs_no_network_and_is_well_formed(folder):
    text = (folder / "index.html").read_text(encoding="utf-8")
    parsed = Page(text)
    assert parsed.open == []
    assert {link.partition(":")[0] for link in parsed.links if ":" in link} == {"data"}
    assert {link for link in parsed.links if ":" not in link and not link.startswith("#")} == FILES - {"index.html"}
    assert "@import" not in text
    assert "<script" not in text
    assert "prefers-color-scheme: dark" in text


def test_the_page_shows_every_section_and_partial(study, folder):
    text = (folder / "index.html").read_text(encoding="utf-8")
    for title in page.SECTIONS:
        assert f"<h2>{title}</h2>" in text
    for comparison in study.comparisons:
        assert f"<td>{comparison.row.id}</td><td>{comparison.partial}</td><td>{comparison.formula}</td>" in text
    assert "All 29 agree." in text
    assert "Solves XOR" in text
    assert report.printed(PAPER_WEIGHTS) in text


def test_the_page_is_honest_about_a_failure():
    history = train(ZERO, iterations=1, learning_rate=1.0)
    text = shown(replace(PAPER, history=history, iterations=1))
    assert "Does not solve XOR" in text
    assert "ln 2: all four patterns tied at ½, E = 0.693147" in text
    assert 'class="good"' not in text


def test_the_page_says_when_it_was_interrupted():
    assert "interrupted" in shown(PAPER)  # of the sizes of Figure 1, two of five are there
    assert "interrupted" not in shown(replace(PAPER, convergence=[PAPER.convergence[0]] * 5))


def test_a_saturated_network_is_drawn_and_not_checked(tmp_path):
    saturated = Weights(U=[0, 0], b_z=50, W=np.zeros((2, 2)), b_h=[0, 0])
    study = replace(hand_made(saturated, panels=(0,)), iterations=0, convergence=[], refusal="log <of> 0")
    assert "log &lt;of&gt; 0" in report.write(study, tmp_path).read_text(encoding="utf-8")
    assert float(loss(saturated)) == 25.0


def test_a_wrong_partial_is_shown_as_such(study):
    off = replace(study.comparisons[3], difference=0.5, ok=False)
    text = shown(replace(study, comparisons=[*study.comparisons[:3], off]))
    assert '<p class="bad">Off: L4. Largest relative difference: 5.0e-01.</p>' in text


def test_the_paper_prints_its_weights_so():
    assert report.printed(PAPER_WEIGHTS) == (
        "W_z  = [[ 14.80952344  14.76101927 ]]      b_z  = -7.27497885\n"
        "W_h1 = [ -7.65041714   7.36125404 ]        b_h1 = -3.97000899784\n"
        "W_h2 = [  7.64177225  -7.8921135  ]        b_h2 = -4.12111727682\n"
    )


def test_printed_weights_stay_in_columns():
    weights = Weights(U=[-0.25, 100, 0], b_z=1, W=[[1, -1], [-123, 4], [5, 6]], b_h=[0, -1e-9, 2])
    lines = report.printed(weights).splitlines()
    assert lines[0] == "W_z  = [[   -0.25         100.             0.         ]]      b_z  = 1."
    assert lines[2] == "W_h2 = [ -123.             4.         ]                       b_h2 = -1e-09"
    assert len({line.index("b_") for line in lines}) == 1


def test_the_picture_has_the_papers_names():
    dot = report.picture(PAPER_WEIGHTS, (1.0, 1.0, 0.0)).dot
    for name in ("h̄₁", "w₁₁", "u₂", "z̄"):
        assert name in dot
    assert "local partial" in dot
