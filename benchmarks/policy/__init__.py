"""What a policy pack changes, and how far the rules that tell refusals can be trusted."""
