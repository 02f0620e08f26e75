//! `wasi:config/store`: a component's configuration is its environment, in a fixed order.

use std::collections::BTreeMap;

use wasmtime::component::{HasData, Linker};

use super::{Guest, Run};

mod bindings {
    wasmtime::component::bindgen!({
        inline: "
            package wasi:config@0.2.0-rc.1;
            interface store {
                variant error { upstream(string), io(string) }
                get: func(key: string) -> result<option<string>, error>;
                get-all: func() -> result<list<tuple<string, string>>, error>;
            }
            world imports { import store; }
        ",
        world: "imports",
    });
}

use bindings::wasi::config::store::{self, Error};

struct HasRun;

impl HasData for HasRun {
    type Data<'a> = Configuration<'a>;
}

struct Configuration<'a>(&'a Run);

pub(super) fn add_to_linker(l: &mut Linker<Guest>) -> wasmtime::Result<()> {
    store::add_to_linker::<_, HasRun>(l, |guest| Configuration(&guest.run))
}

impl store::Host for Configuration<'_> {
    fn get(&mut self, key: String) -> Result<Option<String>, Error> {
        let found = self.0.settings.env.iter().rev().find(|(name, _)| *name == key);
        Ok(found.map(|(_, value)| value.clone()))
    }

    fn get_all(&mut self) -> Result<Vec<(String, String)>, Error> {
        let sorted: BTreeMap<_, _> = self.0.settings.env.iter().cloned().collect();
        Ok(sorted.into_iter().collect())
    }
}
