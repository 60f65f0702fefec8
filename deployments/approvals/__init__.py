"""People who look at what would leave, and sign: approve, decline, approvals, signers."""
