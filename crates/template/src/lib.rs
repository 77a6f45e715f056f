//! Template providers: where blocks to be mined come from. Begins with the embedded dev chain.
