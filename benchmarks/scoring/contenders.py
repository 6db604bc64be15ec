"""ifcurate's engine and other ways to score, each from prompts to summed log-probabilities."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from ifcurate.engines.base import Prompt
from ifcurate.engines.hf.engine import load_hf_engine
from ifcurate.engines.hf.quiet import quiet
from ifcurate.engines.vllm.setup import set_environment

__all__ = ["CONTENDERS", "Score", "make_contender"]

Score = Callable[[list[Prompt]], list[float]]


def _load(folder: Path, dtype: str, device: str) -> Any:
    import torch
    from transformers import AutoModelForCausalLM

    with quiet():
        model = AutoModelForCausalLM.from_pretrained(folder, dtype=getattr(torch, dtype))
    return model.to(device).eval()


def _ours(folder: Path, dtype: str, device: str, **options: Any) -> Score:
    engine = load_hf_engine(str(folder), dtype=dtype, device=device, **options)

    def score(prompts: list[Prompt]) -> list[float]:
        arrays = engine.response_logprobs(prompts)
        return [float(a.astype(np.float64).sum()) for a in arrays]

    return score


def _ifd_loop(folder: Path, dtype: str, device: str) -> Score:
    """Batch size 1, labels masked up to the response, the model's own loss (IFD scripts)."""
    import torch

    model = _load(folder, dtype, device)

    def score(prompts: list[Prompt]) -> list[float]:
        out = []
        with torch.no_grad():
            for prompt in prompts:
                ids = torch.tensor([list(prompt.ids)], device=device)
                labels = ids.clone()
                labels[:, : prompt.response_start] = -100
                loss = model(input_ids=ids, labels=labels).loss
                out.append(-float(loss) * (len(prompt.ids) - prompt.response_start))
        return out

    return score


def _padded(folder: Path, dtype: str, device: str, batch: int = 8) -> Score:
    """Sorted by length, padded on the right, full logits, log-softmax in float32."""
    import torch

    model = _load(folder, dtype, device)

    def score(prompts: list[Prompt]) -> list[float]:
        order = sorted(range(len(prompts)), key=lambda i: -len(prompts[i].ids))
        out = [0.0] * len(prompts)
        with torch.inference_mode():
            for start in range(0, len(order), batch):
                some = order[start : start + batch]
                width = max(len(prompts[i].ids) for i in some)
                ids = torch.zeros(len(some), width, dtype=torch.long)
                mask = torch.zeros(len(some), width, dtype=torch.long)
                for row, i in enumerate(some):
                    n = len(prompts[i].ids)
                    ids[row, :n] = torch.tensor(list(prompts[i].ids))
                    mask[row, :n] = 1
                logits = model(
                    input_ids=ids.to(device), attention_mask=mask.to(device), use_cache=False
                ).logits
                for row, i in enumerate(some):
                    a, b = prompts[i].response_start, len(prompts[i].ids)
                    rows = logits[row, a - 1 : b - 1].float().log_softmax(-1)
                    wanted = ids[row, a:b].to(device)
                    out[i] = float(rows.gather(-1, wanted[:, None]).sum())
        return out

    return score


def _lm_eval(folder: Path, dtype: str, device: str, batch: int = 8) -> Score:
    """lm-evaluation-harness's own `HFLM`: the method that its loglikelihood tasks call."""
    from lm_eval.models.huggingface import HFLM  # type: ignore[import-not-found,unused-ignore]
    from transformers import AutoTokenizer

    with quiet():
        tokenizer = AutoTokenizer.from_pretrained(folder)
        lm = HFLM(
            pretrained=_load(folder, dtype, device),
            tokenizer=tokenizer,
            batch_size=batch,
            device=device,
        )

    def score(prompts: list[Prompt]) -> list[float]:
        requests = [
            ((str(i), ""), list(p.ids[: p.response_start]), list(p.ids[p.response_start :]))
            for i, p in enumerate(prompts)
        ]
        # Below the tokenising of `loglikelihood`, so that all contenders score the same ids.
        results = lm._loglikelihood_tokens(requests, disable_tqdm=True)
        return [float(value) for value, _greedy in results]

    return score


def _vllm(folder: Path, dtype: str, device: str) -> Score:
    """vLLM's `prompt_logprobs`, without prefix caching (cached tokens have none)."""
    # In this process, so that its time is measured; and compiled, which is its default.
    os.environ |= {"TORCHDYNAMO_DISABLE": "0", "VLLM_CPU_KVCACHE_SPACE": "1"}  # GiB, kept by each
    set_environment(on_cpu=device == "cpu", processes=1)
    from vllm import LLM, SamplingParams  # type: ignore[import-not-found,unused-ignore]

    llm = LLM(
        str(folder),
        dtype=dtype,
        enable_prefix_caching=False,
        max_logprobs=1,
        disable_log_stats=True,
    )
    parameters = SamplingParams(max_tokens=1, prompt_logprobs=0, detokenize=False)

    def score(prompts: list[Prompt]) -> list[float]:
        given = [{"prompt_token_ids": list(p.ids)} for p in prompts]
        out = []
        answers = llm.generate(given, parameters, use_tqdm=False)
        for prompt, answer in zip(prompts, answers, strict=True):
            pairs = zip(prompt.ids, answer.prompt_logprobs, strict=True)
            values = [0.0 if entry is None else entry[i].logprob for i, entry in pairs]
            out.append(float(sum(values[prompt.response_start :])))
        return out

    return score


#: name -> (maker, the additional package that it needs)
CONTENDERS: dict[str, tuple[Callable[..., Score], str | None]] = {
    "ifcurate": (_ours, None),
    "batch-1 IFD loop": (_ifd_loop, None),
    "padded 8, sorted": (_padded, None),
    "lm-evaluation-harness": (_lm_eval, "lm_eval"),
    "vLLM prompt_logprobs": (_vllm, "vllm"),
}


def make_contender(name: str, folder: Path, dtype: str, device: str, **options: Any) -> Score:
    """Load a contender's model and return its scoring function."""
    return CONTENDERS[name][0](folder, dtype, device, **options)


def true_scores(path: Path, device: str, prompts: list[Prompt]) -> np.ndarray:
    """Summed log-probabilities in float64, one sequence at a time."""
    import torch

    model = _load(path, "float64", device)
    out = []
    with torch.inference_mode():
        for p in prompts:
            ids = torch.tensor([list(p.ids)], device=device)
            rows = model(input_ids=ids).logits[0, p.response_start - 1 : -1].log_softmax(-1)
            out.append(float(rows.gather(-1, ids[0, p.response_start :, None]).sum()))
    return np.array(out)
