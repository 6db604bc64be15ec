"""Score with vLLM: the log-probabilities of prompt tokens, requested by token ids.

    log p(y_t | x, y_<t) = prompt_logprobs[t][y_t]    for every response token y_t

The whole sequence is vLLM's prompt. The answer is checked position by position
against the ids that were sent. The prefix cache is off, because it leaves the
log-probabilities of cached positions unset. The model folder, dtype and tokenizer are
chosen exactly as for the hf engine, so that the two can be compared.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import torch

from ifcurate.engines.base import Engine, EngineIdentity, EngineReport, Float32Array, Prompt
from ifcurate.engines.checks import check_logprobs, check_max_length, check_prompt, check_vocabulary
from ifcurate.engines.hf.loading import choose_device, describe_model, stated_length
from ifcurate.engines.hf.quiet import quiet
from ifcurate.engines.hf.source import ModelSource
from ifcurate.engines.hf.tokenizer import HFTokenizer
from ifcurate.engines.vllm.setup import import_vllm, plan_memory, quiet_start, set_environment
from ifcurate.errors import ModelError
from ifcurate.options.base import takes_options
from ifcurate.options.score import ENGINE_OPTIONS, LoadOptions
from ifcurate.phrases import first_line

_VERSION: Final = "1"  # version of this module; increased whenever a score could change
_ALWAYS: Final = {
    "skip_tokenizer_init": True,  # the input is ids and the output is numbers
    "generation_config": "vllm",
    "logprobs_mode": "raw_logprobs",
    "enable_prefix_caching": False,
    "enable_chunked_prefill": True,  # in pieces, so that a batch stays small
    "use_tqdm_on_load": False,
}


@takes_options(LoadOptions, ENGINE_OPTIONS["vllm"], engine="vllm")
def load_vllm_engine(
    model: str,
    *,
    options: LoadOptions,
    tensor_parallel_size: int = 1,
    eager: bool = True,
    vllm: Any = None,
) -> VLLMEngine:
    """Load a causal language model into vLLM, from a local folder or the Hub.

    `batch_size="auto"` bounds the tokens of a batch, by the GPU's memory.
    `tensor_parallel_size` is the number of GPUs, `eager` leaves out compilation and CUDA
    graphs, `vllm` stands in for the package in tests. Raises `OptionError` and `ModelError`.
    """
    device = choose_device("auto")
    set_environment(on_cpu=device.type == "cpu", processes=tensor_parallel_size)
    package = vllm if vllm is not None else import_vllm()
    source, config, dtype, read = describe_model(model, options, device)
    tokenizer = HFTokenizer(read, where=str(source.folder))
    kind = str(dtype).removeprefix("torch.")
    text = config.get_text_config()
    n_ids = int(text.vocab_size)
    on_gpu = device.type == "cuda"
    gpu_bytes = int(torch.cuda.get_device_properties(0).total_memory) if on_gpu else None
    arguments: dict[str, Any] = {
        "model": str(source.folder),
        "dtype": kind,
        "max_model_len": _model_length(source, text, options.max_length),
        "trust_remote_code": options.trust_remote_code,
        "load_format": "auto" if source.pickled else "safetensors",
        "enforce_eager": eager,
        "tensor_parallel_size": tensor_parallel_size,
        **_ALWAYS,
        **plan_memory(n_ids, gpu_bytes, options.batch_size),
    }
    if options.threads is not None:
        torch.set_num_threads(options.threads)
    llm = _start(package, source, arguments)
    return VLLMEngine(llm, package, tokenizer, source, dtype=kind, n_ids=n_ids)


class VLLMEngine(Engine):
    """An engine around a model in vLLM; see `load_vllm_engine`."""

    def __init__(
        self,
        llm: Any,
        package: Any,
        tokenizer: HFTokenizer,
        source: ModelSource,
        *,
        dtype: str,
        n_ids: int,
    ) -> None:
        check_vocabulary(source.name, tokenizer.vocab_size, n_ids)
        self._llm = llm
        self.tokenizer: HFTokenizer = tokenizer
        self._name = source.name
        self._n_ids = n_ids
        self._package = package
        self._parameters = package.SamplingParams(
            prompt_logprobs=0, max_tokens=1, temperature=0.0, detokenize=False, flat_logprobs=True
        )
        # vLLM always samples a token after the prompt, which takes one place.
        self.max_length = int(llm.llm_engine.model_config.max_model_len) - 1
        self._report = EngineReport()
        self.identity = EngineIdentity(
            engine="vllm",
            engine_version=f"{package.__version__}/{_VERSION}",
            model=source.name,
            revision=source.revision,
            dtype=dtype,
            tokenizer=tokenizer.fingerprint,
        )

    def report(self) -> EngineReport:
        """Return the numbers of prompts and tokens so far."""
        return self._report

    def response_logprobs(self, prompts: Sequence[Prompt]) -> list[Float32Array]:
        """Natural-log probability of every response token given all before it.

        One float32 array per prompt, shape (n_response_tokens,), in the order
        given. Raises `ModelError` for a prompt that the model cannot score, for numbers that are
        missing or not finite, and when vLLM fails.
        """
        for i, prompt in enumerate(prompts):
            check_prompt(i, prompt, max_length=self.max_length, n_ids=self._n_ids)
        results = [np.zeros(0, dtype=np.float32) for _ in prompts]
        scored = [i for i, prompt in enumerate(prompts) if prompt.response_start < len(prompt.ids)]
        if not scored:
            return results
        outputs = self._generate([prompts[i] for i in scored], self._parameters)
        for i, output in zip(scored, outputs, strict=True):
            results[i] = self._read(i, prompts[i], output)
        self._report.counts["prompts"] += len(scored)
        self._report.counts["tokens"] += sum(len(prompts[i].ids) for i in scored)
        return results

    def continue_greedily(
        self, prompts: Sequence[Sequence[int]], *, max_new_tokens: int
    ) -> list[str]:
        """Return the likeliest continuation of each prompt's ids, token by token, as text.

        Raises `ModelError` when vLLM fails.
        """
        end = self.tokenizer.encode(self.tokenizer.eos_text).ids if self.tokenizer.eos_text else []
        parameters = self._package.SamplingParams(
            max_tokens=max_new_tokens, temperature=0.0, detokenize=False, stop_token_ids=end[:1]
        )
        outputs = self._generate([Prompt(ids, len(ids)) for ids in prompts], parameters)
        answers = [[i for i in output.outputs[0].token_ids if i not in end] for output in outputs]
        return [self.tokenizer.decode(ids) for ids in answers]

    def _generate(self, prompts: Sequence[Prompt], parameters: Any) -> list[Any]:
        """vLLM's output for each prompt."""
        try:
            outputs: list[Any] = self._llm.generate(
                [{"prompt_token_ids": list(prompt.ids)} for prompt in prompts],
                parameters,
                use_tqdm=False,
            )
        except Exception as error:  # vLLM's errors have no common class
            raise ModelError(
                f"{self._name}: vLLM failed; found {type(error).__name__}: "
                f"{first_line(error)}; the same command resumes; use less memory at a time "
                "(--batch-size 16, --max-length), or --engine hf"
            ) from error
        if len(outputs) != len(prompts):
            raise ModelError(
                f"{self._name}: vLLM answered another number of prompts; found {len(outputs)} of "
                f"{len(prompts)}; use another version of vLLM, or --engine hf"
            )
        return outputs

    def _read(self, i: int, prompt: Prompt, output: Any) -> Float32Array:
        ids = np.asarray(prompt.ids, dtype=np.int64)
        problem = ""
        values = np.zeros(0, dtype=np.float32)
        numbers = getattr(output, "prompt_logprobs", None)
        if list(getattr(output, "prompt_token_ids", None) or ()) != ids.tolist():
            problem = "an answer to other token ids"
        elif numbers is None:
            problem = "no prompt_logprobs"
        elif len(numbers) != len(ids):
            problem = f"prompt_logprobs of {len(numbers)} positions for {len(ids)} tokens"
        else:
            values, problem = read_logprobs(numbers, ids, prompt.response_start)
        if problem:
            raise ModelError(
                f"{self._name}: vLLM {self.identity.engine_version} gave no log-probability for "
                f"every token of prompt {i}; found {problem}; use another version of vLLM, "
                "or --engine hf"
            )
        check_logprobs(f"{self._name}: prompt {i}", values, dtype=self.identity.dtype)
        return values


def read_logprobs(numbers: Any, ids: Any, start: int) -> tuple[Float32Array, str]:
    """Return the log-probabilities of `ids[start:]` in vLLM's answer, and what is wrong with it.

    `numbers` has a place for every id: flat arrays, or a list of dicts from id to an
    object with `logprob`. The first token has no number.
    The second result is "" when every id is in its place.
    """
    if hasattr(numbers, "start_indices") and len(numbers.token_ids) == len(ids) - 1:
        # The usual case: one number per token, without an object for each.
        ends = np.asarray(numbers.end_indices)
        if (ends == np.arange(len(ids))).all():
            same = np.asarray(numbers.token_ids) == ids[1:]
            if same[start - 1 :].all():
                return np.asarray(numbers.logprobs[start - 1 :], dtype=np.float32), ""
    values = []
    for position in range(start, len(ids)):
        entry = (numbers[position] or {}).get(int(ids[position]))
        if entry is None:
            return np.zeros(0, dtype=np.float32), f"none for token {position} of {len(ids)}"
        values.append(float(entry.logprob))
    return np.asarray(values, dtype=np.float32), ""


def _model_length(source: ModelSource, config: Any, wanted: int | None) -> int | None:
    """vLLM's max_model_len: one more than the longest prompt; None to leave it to vLLM."""
    if wanted is None:
        return None
    stated = stated_length(config)
    check_max_length(source.name, wanted, stated)
    return wanted + 1 if stated is None else min(wanted + 1, stated)


def _start(package: Any, source: ModelSource, arguments: dict[str, Any]) -> Any:
    lines: list[str] = []
    try:
        with quiet(), quiet_start() as lines:
            return package.LLM(**arguments)
    except Exception as error:  # vLLM's errors have no common class
        message = first_line(error)
        cause = next((line for line in reversed(lines) if "Error: " in line), "")
        if cause and message not in cause:
            message = f"{message} ({cause[:200]})"
        short = any(word in message for word in ("KV cache", "memory", "max_model_len"))
        remedy = (
            "give --max-length (fewer tokens need less memory), --dtype bfloat16, or a smaller "
            "model; nothing else may use the GPU"
            if short
            else "check that this version of vLLM knows the model, or use --engine hf"
        )
        raise ModelError(
            f"{source.name}: vLLM does not load the model; found {type(error).__name__}: "
            f"{message}; {remedy}"
        ) from error
