//! Rows 22 and 24 to 27: the weak points of job declaration. Adit declares the templates of a farm's node, here Template
//! Distribution over the development pool's own chain, to that pool; then something of it fails.

mod coinbases;
mod farm;
mod ladder;
mod refusals;
mod requests;
mod server_gone;
mod silence;
mod templates;
mod tokens;
