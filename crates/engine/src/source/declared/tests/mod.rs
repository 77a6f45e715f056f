//! The source between a pool, a declarator server and templates that the tests play by hand.

mod blocks;
mod ladder;
mod random;
mod tag;
mod tips;
mod way;
mod world;

use world::*;
