"""Yaml of unknown origin is looked over before anything is built."""

import pytest

from embodied.core.foreign_yaml import MAX_DEPTH, MAX_TEXT, MAX_VALUES, load_foreign


def test_plain_yaml_is_read() -> None:
    assert load_foreign("a: 1\nb: {c: [x, 2.5], d: null}\n") == {
        "a": 1,
        "b": {"c": ["x", 2.5], "d": None},
    }
    assert load_foreign("a: &x [1, 2]\nb: *x\n") == {"a": [1, 2], "b": [1, 2]}
    assert load_foreign("") is None


def bomb(levels: int) -> str:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, levels)]
    return "\n".join(lines)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (bomb(9), f"more than {MAX_VALUES} values"),
        ("[" * (MAX_DEPTH + 2) + "]" * (MAX_DEPTH + 2), f"{MAX_DEPTH} levels"),
        ("a: &a [*a]", "values"),
        ("<<: {a: 1}", "merge keys"),
        ("? [a, b]\n: 1", "a key in it is a list"),
        (f"a: {'9' * (MAX_TEXT + 1)}", f"more than {MAX_TEXT} characters"),
        ("a: !!python/object/apply:os.system [true]", "could not determine a constructor"),
        ("a: [", "expected"),
        ("a: *nobody", "nobody"),
    ],
)
def test_what_is_refused(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        load_foreign(text)
