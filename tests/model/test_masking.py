"""Masking: every form in which a message may quote a secret is hidden, and nothing else."""

from __future__ import annotations

import json
import re
import shlex
from string import ascii_letters, digits
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nemorun_cli.model import masking
from nemorun_cli.model.masking import MASK, mask, mask_message

HOOK = "https://user:pass%20word@hooks.example/services/T00000/B00000/dmFsdWUxMjM0?sig=a1b2c3d4e5f6&v=2#part-of-it"
RARE = "'\"\\\n\t%&?=/+ äΩ🙂{}$`"
secrets = st.text(st.sampled_from(ascii_letters + digits + RARE), min_size=8, max_size=24).filter(
    lambda value: len(max(value.splitlines(), key=len)) >= masking.SHORTEST_MASKED
)


@given(secret=secrets, around=st.text(st.sampled_from("ab'\" "), max_size=6))
def test_each_way_to_quote_a_secret_is_hidden(secret: str, around: str) -> None:
    """JSON, Python, a shell and an address quote it in their own ways, also within a longer text."""
    text = f"{around}{secret}{around}"
    written = {
        "plain": text,
        "JSON": json.dumps(text),
        "readable JSON": json.dumps({"k": [text]}, ensure_ascii=False),
        "Python": repr(text),
        "ASCII": ascii(text),
        "shell": shlex.quote(text),
        "address": quote(text),
        "query": quote_plus(text),
        "lower case": re.sub("%..", lambda code: code[0].lower(), quote(text)),
    }
    for name, form in written.items():
        hidden = mask(form, [secret])
        left = hidden.replace(MASK, "")
        assert len(left) <= len(form) - masking.SHORTEST_MASKED, (name, hidden)
        assert secret not in hidden, name
        assert mask(hidden, [secret]) == hidden


@given(secret=secrets, cut=st.integers(min_value=masking.SHORTEST_MASKED, max_value=24))
def test_what_is_left_of_a_secret_that_was_cut_is_hidden(secret: str, cut: int) -> None:
    """A message that was shortened within a secret shows nothing of what is left of it."""
    secret = secret.replace("\n", "x")
    start, end = secret[:cut], secret[-cut:]
    assert mask_message(f"it is {start}…", [secret]) == f"it is {MASK}…"
    assert mask_message(f"it is {start}", [secret]) == f"it is {MASK}"
    assert mask_message(f"…{end}. It is", [secret]) == f"…{MASK}. It is"


def test_what_overlaps_is_hidden_whole() -> None:
    """Of two secrets that share characters, and of one that overlaps itself, nothing is left."""
    assert mask("x abcdefghij y", ["abcdefg", "defghij"]) == f"x {MASK} y"
    assert mask("abcabcabcabc", ["abcabcabc"]) == MASK
    assert mask("secret1secret1", ["secret1"]) == MASK * 2


@pytest.mark.parametrize(
    "part",
    [
        HOOK,
        "/services/T00000/B00000/dmFsdWUxMjM0",
        "dmFsdWUxMjM0",
        "sig=a1b2c3d4e5f6&v=2",
        "a1b2c3d4e5f6",
        "pass%20word",
        "pass word",
        "part-of-it",
    ],
)
def test_the_parts_of_an_address_are_hidden(part: str) -> None:
    """What makes an address secret is hidden alone, too."""
    assert mask(f"GET '{part}'", [HOOK]) == f"GET '{MASK}'"


@pytest.mark.parametrize(
    "text", ["services", "hooks.example", "https://", "T00000", "v=2", "user", "a b c", "short"]
)
def test_ordinary_words_stay(text: str) -> None:
    """Short parts of an address, its host, and values of less than six characters are not hidden."""
    assert mask(text, [HOOK, "short", "a\nb\nc"]) == text


def test_numbers_and_keys_of_a_document_stay() -> None:
    """Only texts are masked, so that a document keeps its form."""
    assert masking.mask_texts({"secret1": ["x secret1", 1, None]}, ["secret1"]) == {
        "secret1": [f"x {MASK}", 1, None]
    }
