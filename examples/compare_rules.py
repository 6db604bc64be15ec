"""Score once, then compare the rules. A rule needs no model and takes no time."""

import ifcurate


def main() -> None:
    examples = ifcurate.read_examples("demo:alpaca.jsonl")
    engine = ifcurate.load_engine("hf", model="pocket", dtype="float32")
    scores = ifcurate.score_examples(examples, engine, ifcurate.ScoreSettings(template="alpaca"))

    for rule in ("paper", "gain", "both", "auto"):
        split = ifcurate.split_scores(scores, rule=rule)
        cuts = ", ".join(f"{cut.statistic} > {cut.threshold:.3f}" for cut in split.cuts)
        print(f"{rule:6} keeps {split.counts()['context-critical']:4} rows where {cuts}")


if __name__ == "__main__":
    main()
