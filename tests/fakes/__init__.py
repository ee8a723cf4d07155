"""Living stand-ins, held to the same contract tests as what they stand for."""
