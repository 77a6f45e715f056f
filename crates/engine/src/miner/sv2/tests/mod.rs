//! One connection by hand. What many do together is the simulator's.

mod channels;
mod shares;
mod work_down;
mod world;
