from __future__ import annotations

from nemorun_cli.model.problems import Finding, Problem, choices, nearest, render, shown


def test_problem_is_one_line_with_place_path_message_and_hint() -> None:
    """A problem reads `file:line:column: path: what is wrong (what to do)`."""
    problem = Problem(
        file="a.yaml", line=3, column=5, path="tasks.a", message="is wrong", hint="mend it", text="    x: 1"
    )

    assert str(problem) == "a.yaml:3:5: tasks.a: is wrong (mend it)"


def test_rendered_problem_shows_its_line_with_a_caret_under_the_place() -> None:
    """The line that a problem is about is shown, and the caret stands under its column."""
    problem = Problem(file="a.yaml", line=3, column=5, message="is wrong", text="    x: 1")

    _, line, caret = render([problem]).splitlines()

    assert line.index("x") == caret.index("^")


def test_caret_stays_in_place_in_long_lines_and_behind_tabs() -> None:
    """A long line is cut around the place, and tabs before it stay tabs under it."""
    text = "\t" + "a" * 300 + "X" + "b" * 300
    problem = Problem(file="a.yaml", line=1, column=302, message="is wrong", text=text)

    _, line, caret = render([problem]).splitlines()

    assert line[caret.index("^")] == "X"
    assert len(line) < 200


def test_control_characters_of_a_line_are_not_shown_as_they_are() -> None:
    """A spec cannot write escape sequences to the terminal through its problems."""
    problem = Problem(file="a.yaml", line=1, column=1, message="is wrong", text="a\x1b[2Jb")

    assert "\x1b" not in render([problem])


def test_problem_without_a_line_names_the_option() -> None:
    """What an option brought is reported under the option."""
    problem = Finding(place=("run", "x"), message="is wrong").problem(file="--set run.x=1")

    assert render([problem]) == "--set run.x=1: run.x: is wrong"


def test_problem_as_json_has_the_fields_of_the_error_document() -> None:
    """An entry of `problems` holds file, line, column, path, message and hint."""
    problem = Problem(file="a.yaml", line=3, column=5, path="x", message="m", hint="h", text="t")

    assert problem.to_json() == {
        "file": "a.yaml",
        "line": 3,
        "column": 5,
        "path": "x",
        "message": "m",
        "hint": "h",
    }


def test_nearest_name_passes_over_case_and_typing_errors() -> None:
    """The known name that differs by a letter or by case is the one that was meant."""
    assert nearest("Train", ["train", "test"]) == "train"
    assert nearest("dependancies", ["dependencies", "env"]) == "dependencies"
    assert nearest("moon", ["local", "cluster"]) is None


def test_choices_list_what_there_is() -> None:
    """A hint lists the known names, led by the one that was probably meant; many are cut short."""
    assert choices("moon", ["local", "cluster"]) == "there are: local, cluster"
    assert choices("locl", ["local", "cluster"]) == "did you mean local? there are: local, cluster"
    assert choices("x", []) == "none exist"
    assert choices("zzz", [f"name-{number}" for number in range(100)]).endswith(", …")


def test_shown_values_are_short() -> None:
    """A value in a message has at most sixty characters."""
    assert shown("x" * 500).endswith("…")
    assert len(shown("x" * 500)) <= 60
    assert shown(float("nan")) == "NaN"
