"""One loop and its thin stages: base, pretrain, hybrid, sft, dpo."""
