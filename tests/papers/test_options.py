import dataclasses

import pytest

from gaugebias.papers import load, names, with_options


@dataclasses.dataclass(frozen=True)
class Settings:
    seeds: int = 4
    rate: float = 0.1
    widths: tuple[int, ...] = (1, 2)
    table: str = ""

    def __post_init__(self):
        if self.seeds < 1:
            raise ValueError(f"`seeds` is {self.seeds}: give at least 1.")


def test_words_become_values_of_the_right_type():
    found = with_options(Settings(), ["seeds=7", "rate=1e-3", "widths=3, 5,", "table=a=b.csv"])
    assert found == Settings(7, 1e-3, (3, 5), "a=b.csv") and isinstance(found.rate, float)
    assert with_options(Settings(), []) == Settings()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["seeds"], "`set` is 'seeds': give NAME=VALUE"),
        (["seed=1"], "there is no setting 'seed': did you mean 'seeds'"),
        (["=1"], "there is no setting ''"),
        (["seeds=1", "seeds=2"], "gives 'seeds' twice"),
        (["seeds=1.5"], "gives 'seeds' the value '1.5': give a whole number"),
        (["rate=nan"], "gives 'rate' the value 'nan': give a finite number"),
        (["widths=1,x"], "gives 'widths' the value 'x': give a whole number"),
        (["seeds=0"], "`seeds` is 0: give at least 1"),
    ],
)
def test_wrong_words_are_one_sentence(words, message):
    with pytest.raises(ValueError, match=message):
        with_options(Settings(), words)


def _text(value, separator=","):
    if type(value) is tuple:
        return separator.join(_text(each, ":") for each in value)
    return str(value)


def _words(settings, prefix=""):
    words = []
    for field in dataclasses.fields(settings):
        value, name = getattr(settings, field.name), prefix + field.name
        if dataclasses.is_dataclass(value):
            words += _words(value, name + ".")
        else:
            words.append(f"{name}={_text(value)}")
    return words


@pytest.mark.parametrize("name", names())
def test_every_setting_of_every_publication_can_be_given(name):
    settings = load(name).quick()
    assert with_options(settings, _words(settings)) == settings


def test_settings_of_one_experiment_of_several():
    before = load("gauge-correction").Settings()
    after = with_options(before, ["hyperbola.seeds=8", "hyperbola.start=3,0.5", "signal.seeds=9"])
    assert (after.hyperbola.seeds, after.hyperbola.start, after.signal.seeds) == (8, (3.0, 0.5), 9)
    assert after.relu == before.relu
    bad = {
        "no setting 'relu': .*relu.seeds": "relu=3",
        "no setting 'seeds'": "seeds=3",
        "`seeds` must be at least 8": "hyperbola.seeds=3",
        "'hyperbola.steps' the value 'x'": "hyperbola.steps=x",
        "'hyperbola.start' the value '3': give 2 values": "hyperbola.start=3",
        "'signal.segments' the value '1': give 2 values with ':'": "signal.segments=1,2",
    }
    for sentence, word in bad.items():
        with pytest.raises(ValueError, match=sentence):
            with_options(before, [word])
