//! Stratum V1 JSON lines: what firmware sends, read liberally; what Adit sends, written strictly.
