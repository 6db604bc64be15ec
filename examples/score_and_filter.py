"""Score the demo data with the bundled model and keep the context-critical rows."""

import ifcurate


def main() -> None:
    examples = ifcurate.read_examples("demo:alpaca.jsonl")
    engine = ifcurate.load_engine("hf", model="pocket", dtype="float32")
    settings = ifcurate.ScoreSettings(template="alpaca")
    scores = ifcurate.score_examples(examples, engine, settings)
    split = ifcurate.split_scores(scores, rule="gain")
    filtered = ifcurate.filter_examples(examples, split, keep="context-critical")

    print(f"{len(filtered.kept)} kept, {len(filtered.dropped)} dropped")
    for example in filtered.kept[:3]:
        print(f"  kept     {example.instruction} -> {example.response}")
    for example, reason in filtered.dropped[:3]:
        print(f"  dropped  {example.instruction} ({reason})")


if __name__ == "__main__":
    main()
