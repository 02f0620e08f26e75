//! Names for things. Never reused within a run, so that a late completion of something long gone finds nothing.

use serde::{Deserialize, Serialize};

macro_rules! id {
    ($(#[$doc:meta])* $name:ident($inner:ty)) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub struct $name(pub $inner);
    };
}

id!(
    /// A function by its name in the manifest; the same name keeps its id through reloads.
    FunctionId(u32)
);
id!(
    /// The n-th successful build of one function in this run, from 1.
    VersionNumber(u32)
);
id!(
    /// One modelled execution environment.
    InstanceId(u64)
);
id!(
    /// One invocation: an HTTP request, a cron firing, a batch, one attempt of an asynchronous event.
    InvocationId(u64)
);
id!(
    /// A queue by its name in the manifest.
    QueueId(u32)
);
id!(
    /// A topic by its name in the manifest.
    TopicId(u32)
);
id!(
    /// A cron trigger; its name is that of its function, `#2` and so on for further ones.
    TriggerId(u32)
);
id!(
    /// A message in a queue, or a topic delivery on its way to a function.
    MessageId(u64)
);
id!(
    /// One receipt of one message; a later receive invalidates it.
    ReceiptId(u64)
);
