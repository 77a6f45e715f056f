//! Structures of Cap'n Proto by the places of their fields, as the code that its compiler makes accesses them.

use capnp::capability::{Client, FromClientHook, Promise, Request, Response};
use capnp::private::layout::{PointerBuilder, PointerReader, StructBuilder, StructReader, StructSize};
use capnp::traits::{FromPointerBuilder, FromPointerReader};
use capnp::{Word, any_pointer};

/// A call that is being made.
pub(super) type Call = Request<any_pointer::Owned, any_pointer::Owned>;
/// What a call gave.
pub(super) type Answer = Response<any_pointer::Owned>;

/// A structure that is read.
#[derive(Clone, Copy)]
pub(super) struct Structure<'a>(StructReader<'a>);

impl<'a> FromPointerReader<'a> for Structure<'a> {
    fn get_from_pointer(reader: &PointerReader<'a>, default: Option<&'a [Word]>) -> capnp::Result<Self> {
        reader.get_struct(default).map(Structure)
    }
}

impl<'a> Structure<'a> {
    /// The result of a call.
    pub(super) fn of(answer: &'a Answer) -> capnp::Result<Self> {
        answer.get()?.get_as()
    }

    /// Words of 64 bits that it has on the wire, with all that it points to. A method that gives nothing has 0; one that
    /// gives a flag has at least 1, whatever the flag.
    pub(super) fn words(&self) -> capnp::Result<u64> {
        self.0.total_size().map(|size| size.word_count)
    }

    pub(super) fn flag(&self, bit: usize) -> bool {
        self.0.get_bool_field(bit)
    }

    /// The `at`th 32 bits.
    pub(super) fn u32(&self, at: usize) -> u32 {
        self.0.get_data_field(at)
    }

    /// The `at`th 64 bits.
    pub(super) fn i64(&self, at: usize) -> i64 {
        self.0.get_data_field(at)
    }

    pub(super) fn data(&self, pointer: usize) -> capnp::Result<&'a [u8]> {
        self.0.get_pointer_field(pointer).get_data(None)
    }

    pub(super) fn text(&self, pointer: usize) -> String {
        let text = self.0.get_pointer_field(pointer).get_text(None).ok();
        text.map_or_else(String::new, |text| String::from_utf8_lossy(text.as_bytes()).into_owned())
    }

    pub(super) fn data_list(&self, pointer: usize) -> capnp::Result<Vec<&'a [u8]>> {
        let list = capnp::data_list::Reader::get_from_pointer(&self.0.get_pointer_field(pointer), None)?;
        list.iter().collect()
    }

    pub(super) fn structure(&self, pointer: usize) -> capnp::Result<Structure<'a>> {
        self.0.get_pointer_field(pointer).get_struct(None).map(Structure)
    }

    /// A capability; `None`: the server gave none.
    pub(super) fn capability(&self, pointer: usize) -> capnp::Result<Option<Client>> {
        if self.0.is_pointer_field_null(pointer) {
            return Ok(None);
        }
        Ok(Some(Client::new(self.0.get_pointer_field(pointer).get_capability()?)))
    }
}

/// A structure that is written; `DATA` words of 64 bits and `POINTERS` pointers.
pub(super) struct StructureMut<'a, const DATA: u16, const POINTERS: u16>(StructBuilder<'a>);

impl<const DATA: u16, const POINTERS: u16> StructureMut<'_, DATA, POINTERS> {
    const SIZE: StructSize = StructSize { data: DATA, pointers: POINTERS };
}

impl<'a, const DATA: u16, const POINTERS: u16> FromPointerBuilder<'a> for StructureMut<'a, DATA, POINTERS> {
    fn init_pointer(builder: PointerBuilder<'a>, _size: u32) -> Self {
        Self(builder.init_struct(Self::SIZE))
    }

    fn get_from_pointer(builder: PointerBuilder<'a>, default: Option<&'a [Word]>) -> capnp::Result<Self> {
        builder.get_struct(Self::SIZE, default).map(Self)
    }
}

impl<'a, const DATA: u16, const POINTERS: u16> StructureMut<'a, DATA, POINTERS> {
    /// The parameters of a call.
    pub(super) fn of(call: &'a mut Call) -> Self {
        call.get().init_as()
    }

    #[cfg(test)]
    pub(super) fn set_i32(&mut self, at: usize, value: i32) {
        self.0.set_data_field(at, value);
    }

    #[cfg(test)]
    pub(super) fn set_data_list(&mut self, pointer: usize, values: &[Vec<u8>]) {
        let pointer = self.0.reborrow().get_pointer_field(pointer);
        let length = u32::try_from(values.len()).expect("a test's list is short");
        let mut list = capnp::data_list::Builder::init_pointer(pointer, length);
        for (at, value) in (0..).zip(values) {
            list.set(at, value);
        }
    }

    /// `default` is the schema's: what is on the wire is the difference from it.
    pub(super) fn set_flag(&mut self, bit: usize, value: bool, default: bool) {
        self.0.set_bool_field_mask(bit, value, default);
    }

    pub(super) fn set_u32(&mut self, at: usize, value: u32) {
        self.0.set_data_field(at, value);
    }

    pub(super) fn set_u64(&mut self, at: usize, value: u64, default: u64) {
        self.0.set_data_field_mask(at, value, default);
    }

    pub(super) fn set_i64(&mut self, at: usize, value: i64, default: i64) {
        self.0.set_data_field_mask(at, value, default);
    }

    pub(super) fn set_f64(&mut self, at: usize, value: f64, default: f64) {
        self.0.set_data_field_mask(at, value, default.to_bits());
    }

    pub(super) fn set_data(&mut self, pointer: usize, value: &[u8]) {
        self.0.reborrow().get_pointer_field(pointer).set_data(value);
    }

    pub(super) fn set_text(&mut self, pointer: usize, value: &str) {
        self.0.reborrow().get_pointer_field(pointer).set_text(value.into());
    }

    pub(super) fn set_capability(&mut self, pointer: usize, client: &Client) {
        self.0.reborrow().get_pointer_field(pointer).set_capability(client.hook.add_ref());
    }

    pub(super) fn structure<const D: u16, const P: u16>(&mut self, pointer: usize) -> StructureMut<'_, D, P> {
        StructureMut::init_pointer(self.0.reborrow().get_pointer_field(pointer), 0)
    }
}

/// Begins a call.
pub(super) fn call(of: &Client, interface: u64, method: u16) -> Call {
    of.hook.new_call(interface, method, None)
}

/// Sends a call and gives its answer.
pub(super) fn send(call: Call) -> Promise<Answer, capnp::Error> {
    call.send().promise
}

/// A client from what the bootstrap gives.
pub(super) struct Bootstrap(pub(super) Client);

impl FromClientHook for Bootstrap {
    fn new(hook: Box<capnp::capability::DynClientHook>) -> Self {
        Self(Client::new(hook))
    }

    fn into_client_hook(self) -> Box<capnp::capability::DynClientHook> {
        self.0.hook
    }

    fn as_client_hook(&self) -> &capnp::capability::DynClientHook {
        &*self.0.hook
    }
}
