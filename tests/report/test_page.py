"""Every page can be read: by eyes in the dark, on a phone and on paper, by keyboards and by screen readers."""

from __future__ import annotations

import itertools
import re
from html.parser import HTMLParser

import pytest

from thetastar import compare
from thetastar.look.looking import look
from thetastar.report import comparison, looking, runs

VOID = {"meta", "img", "br", "rect", "line", "path", "circle"}
RGB = tuple[float, float, float]


class Reader(HTMLParser):
    """Tags with their attributes in order, the text of headings, and what is open."""

    def __init__(self, page):
        super().__init__()
        self.tags, self.headings, self.stack, self.unbalanced = [], [], [], []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in VOID:
            self.stack.append(tag)
        if re.fullmatch(r"h[1-6]", tag):
            self.headings.append((int(tag[1]), ""))

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        if tag not in VOID and (not self.stack or self.stack.pop() != tag):
            self.unbalanced.append(tag)

    def handle_data(self, data):
        if self.stack and re.fullmatch(r"h[1-6]", self.stack[-1]):
            level, text = self.headings[-1]
            self.headings[-1] = (level, text + data)

    def all(self, tag):
        return [attrs for name, attrs in self.tags if name == tag]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    out = tmp_path_factory.mktemp("page") / "bars"
    small = {"name": "mlp", "widths": [8]}
    terms = {"seeds": 2, "resplit": False, "budget": {"epochs": 2}, "engine": {"evaluations": 2}}
    return out, compare("bars", [small, "softmax", "knn"], out=out, **terms)


@pytest.fixture(scope="module", params=["comparison", "runs", "look"])
def page(request, folder):
    out, verdict = folder
    if request.param == "comparison":
        return comparison.render(verdict)
    if request.param == "runs":
        return runs.render([out / "runs" / "mlp", out / "runs" / "softmax" / "seed-0"])
    return looking.render(look("bars"))


@pytest.mark.shows("P6")
def test_nothing_is_fetched_and_nothing_runs(page):
    assert not re.search(r"<script|https?://|@import|<link|<iframe|\son\w+=|javascript:", page)
    assert set(re.findall(r"url\((.)", page)) <= {"#"}  # clip paths of drawings
    assert {attrs["src"].partition(",")[0] for attrs in Reader(page).all("img")} <= {"data:image/png;base64"}


def test_tags_are_balanced_and_places_unique(page):
    read = Reader(page)
    assert (read.stack, read.unbalanced) == ([], [])
    ids = [attrs["id"] for _, attrs in read.tags if "id" in attrs]
    assert len(ids) == len(set(ids))
    within = [attrs["href"][1:] for attrs in read.all("a")]
    assert set(within) <= set(ids)


@pytest.mark.shows("P6")
def test_language_title_landmarks_and_headings_in_order(page):
    read = Reader(page)
    assert read.all("html")[0]["lang"] == "en"
    assert len(read.all("title")) == 1
    assert len(read.all("main")) == 1
    assert read.tags[[tag for tag, _ in read.tags].index("body") + 1] == ("a", {"class": "skip", "href": "#main"})
    levels = [level for level, text in read.headings if text.strip()]
    assert len(levels) == len(read.headings)
    assert levels.count(1) == 1
    assert levels[0] == 1
    assert all(after <= before + 1 for before, after in itertools.pairwise(levels))


def test_pictures_have_names_and_tables_have_heads(page):
    read = Reader(page)
    assert all(attrs.get("role") == "img" and len(attrs.get("aria-label", "")) > 5 for attrs in read.all("svg"))
    assert all(len(attrs.get("alt", "")) > 5 for attrs in read.all("img"))
    assert all(attrs.get("scope") in ("row", "col") for attrs in read.all("th"))
    tables = re.findall(r"<table.*?</table>", page, re.S)
    assert tables
    assert all('scope="col"' in table for table in tables)
    scrolls = [attrs for attrs in read.all("div") if "wide" in attrs.get("class", "").split()]
    assert len(scrolls) >= len(tables)
    assert all(attrs.get("tabindex") == "0" and attrs.get("aria-label") for attrs in scrolls)


# --- colours ---------------------------------------------------------------------------------------------------------


def schemes(page) -> dict[str, dict[str, str]]:
    """Variables of the light page, of the dark one and of paper."""
    blocks = re.findall(r":root \{(.*?)\}", page, re.S)
    assert len(blocks) == 3
    light, dark, paper = (dict(re.findall(r"--([\w-]+): ([^;]+);", block)) for block in blocks)
    return {"light": light, "dark": {**light, **dark}, "paper": {**light, **paper}}


def rgb(colour: str) -> RGB:
    return tuple(int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5))


def mixed(first: RGB, second: RGB, share: float) -> RGB:
    return tuple(share * a + (1 - share) * b for a, b in zip(first, second, strict=True))


def contrast(first: RGB, second: RGB) -> float:
    """(L₁ + 0.05) / (L₂ + 0.05) of WCAG 2.2, L the relative luminance."""

    def luminance(colour):
        linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in colour]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    low, high = sorted((luminance(first), luminance(second)))
    return (high + 0.05) / (low + 0.05)


def test_contrast_is_the_known_one():
    assert contrast((0, 0, 0), (1, 1, 1)) == pytest.approx(21)
    assert contrast(rgb("#767676"), (1, 1, 1)) == pytest.approx(4.54, abs=0.01)


@pytest.mark.shows("P6")
def test_words_stand_out_from_their_ground_in_every_scheme(page):
    for name, of in schemes(page).items():
        ground = {key: rgb(of[key]) for key in ("paper", "wash")}
        for words in ("ink", "soft", "accent", "bad"):
            for where, colour in ground.items():
                assert contrast(rgb(of[words]), colour) >= 4.5, (name, words, where)
        deepest = float(of["deepest"].rstrip("%")) / 100
        for share in (0.22, deepest / 2, deepest):
            shade = mixed(rgb(of["accent"]), ground["paper"], share)
            assert contrast(rgb(of["ink"]), shade) >= 4.5, (name, share)


def test_paper_is_white_and_shows_what_is_folded(page):
    sheet = page[page.index("@media print") : page.index("</style>")]
    assert "--paper: #ffffff" in sheet
    assert "details::details-content" in sheet
    assert "break-inside: avoid" in sheet
    assert "prefers-color-scheme: dark" in page
    assert 'name="viewport"' in page
