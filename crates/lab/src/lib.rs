//! What demo, tests and benches share: dev pool, CPU miner, load generator, simulator.
