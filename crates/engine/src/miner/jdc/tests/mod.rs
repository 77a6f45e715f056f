//! A JDC, Adit and a pool, as far as messages go.

mod declaring;
mod mining;
mod random;
mod world;
