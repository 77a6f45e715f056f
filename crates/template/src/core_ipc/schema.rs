//! What is where on the wire of Core's mining interface, by its version.
//!
//! Cap'n Proto names methods by number, and Core has renumbered them without a version call. The numbers and layouts are
//! facts of the schemas that Core publishes (`src/ipc/capnp/init.capnp` and `mining.capnp`): few enough to stand here
//! as data, so that no schema compiler is needed to build.

/// `Init`, what a connection begins with.
pub(super) const INIT: u64 = 0x8838_c700_ba5c_ba65;
/// `ThreadMap`: makes the server's threads that calls run on.
pub(super) const THREAD_MAP: u64 = 0xee5e_3717_9ad9_dc9d;
/// `Mining`
pub(super) const MINING: u64 = 0xf9c6_8436_df3a_f39e;
/// `BlockTemplate`
pub(super) const BLOCK_TEMPLATE: u64 = 0xf967_1ad8_41b2_f622;

/// `Init.construct`
pub(super) const CONSTRUCT: u16 = 0;
/// `ThreadMap.makeThread`
pub(super) const MAKE_THREAD: u16 = 0;
/// `Mining.getTip`
pub(super) const GET_TIP: u16 = 2;
/// `Mining.createNewBlock`
pub(super) const CREATE_NEW_BLOCK: u16 = 4;
/// `BlockTemplate.getBlockHeader`
pub(super) const GET_BLOCK_HEADER: u16 = 1;
/// `BlockTemplate.getBlock`
pub(super) const GET_BLOCK: u16 = 2;
/// `BlockTemplate.getCoinbaseTx`
pub(super) const GET_COINBASE_TX: u16 = 5;

/// How a version of Core numbers what others number differently.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Schema {
    /// For people.
    pub name: &'static str,
    /// `Init.makeMining`
    pub(super) make_mining: u16,
    /// `createNewBlock` takes a context, so that it runs on a thread of ours, and `cooldown`.
    pub(super) create_with_context: bool,
    /// `getCoinbaseTx` gives a structure; before, a serialised transaction.
    pub(super) coinbase_is_structure: bool,
    /// `getCoinbaseMerklePath`
    pub(super) get_merkle_path: u16,
    /// `submitSolution`
    pub(super) submit_solution: u16,
    /// `submitSolution` tells why a block was not taken.
    pub(super) submit_tells_reason: bool,
    /// `waitNext`
    pub(super) wait_next: u16,
    /// `interruptWait`
    pub(super) interrupt_wait: u16,
    /// `Mining.submitBlock`, where it exists.
    pub(super) submit_block: Option<u16>,
}

impl Schema {
    /// Core 30.
    pub const V30: Self = Self {
        name: "30",
        make_mining: 2,
        create_with_context: false,
        coinbase_is_structure: false,
        get_merkle_path: 8,
        submit_solution: 9,
        submit_tells_reason: false,
        wait_next: 10,
        interrupt_wait: 11,
        submit_block: None,
    };

    /// Core 31, which has no `submitBlock` yet.
    pub const V31: Self = Self {
        name: "31",
        make_mining: 3,
        create_with_context: true,
        coinbase_is_structure: true,
        get_merkle_path: 6,
        submit_solution: 7,
        submit_tells_reason: false,
        wait_next: 8,
        interrupt_wait: 9,
        submit_block: None,
    };

    /// Core's development after 31.
    pub const V31_99: Self = Self { name: "31.99", submit_block: Some(7), ..Self::V31 };

    /// Core 32: another `submitSolution`, which tells its reasons; the old one gives an error.
    pub const V32: Self = Self { name: "32", submit_solution: 10, submit_tells_reason: true, ..Self::V31_99 };

    /// All that are known, the newest first.
    pub const ALL: [Self; 4] = [Self::V32, Self::V31_99, Self::V31, Self::V30];

    /// What is tried, in this order, where the version is not configured. 31 and 31.99 differ only in a call that one of
    /// them lacks. No order can do harm: until a version is proven, the node is asked for nothing but templates.
    pub(super) const TRIED: [Self; 3] = [Self::V32, Self::V31_99, Self::V30];
}
