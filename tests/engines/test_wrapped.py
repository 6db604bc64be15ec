"""A model that is loaded already scores as one that is loaded by name."""

from __future__ import annotations

import pytest

import ifcurate
from ifcurate.errors import ModelError
from ifcurate.pocket import model_path
from tests.conftest import ALPACA_ROWS


def test_a_loaded_model_gives_the_numbers_of_its_folder() -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    folder = str(model_path())
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    model.register_buffer("single_number", torch.tensor(1.0))  # as some models have
    tokenizer = AutoTokenizer.from_pretrained(folder)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with (
        ifcurate.load_engine(model=model, tokenizer=tokenizer) as mine,
        ifcurate.load_engine("hf", model="pocket", dtype="float32") as named,
    ):
        ours = ifcurate.score_examples(ALPACA_ROWS, mine)
        theirs = ifcurate.score_examples(ALPACA_ROWS, named)
        assert mine.identity.revision != named.identity.revision
    gap = (ours["loss_with_context"] - theirs["loss_with_context"]).abs().max()
    assert isinstance(gap, float)
    assert gap < 1e-5
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


def test_mistakes_with_a_loaded_model_are_named() -> None:
    from transformers import AutoModelForCausalLM

    with pytest.raises(TypeError, match="found list; give a name"):
        ifcurate.load_engine(model=[1])
    model = AutoModelForCausalLM.from_pretrained(str(model_path()))
    with pytest.raises(TypeError, match="needs its tokenizer too"):
        ifcurate.load_engine(model=model)
    model.train()
    with pytest.raises(ModelError, match="training mode"):
        ifcurate.load_engine(model=model, tokenizer=object())
