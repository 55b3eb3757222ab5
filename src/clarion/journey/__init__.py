"""The story: one module a stage, pure functions over batches; `pipeline` joins them and alone awaits ports."""
