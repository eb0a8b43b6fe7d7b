"""The paper's experiments, one module each: Config, PRESETS, run(cell, scratch), figures(results)."""
